"""Resources: the methods of a client, one module for each kind of object."""
