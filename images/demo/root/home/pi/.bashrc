# A demo: what every new account finds in its home.
umask 022
