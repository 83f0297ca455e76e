"""Operations of the API: one class per operation, one module for each kind of object."""
