"""A stand-in for a Step-Audio-EditX checkout: tiny random networks, whose speech is noise."""
