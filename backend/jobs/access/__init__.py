"""Who may do what: keys, logins, owners of jobs, share links, and the record of it."""
