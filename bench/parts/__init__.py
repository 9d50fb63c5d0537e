"""How much is gained over the published way of finding and completing parts?"""
