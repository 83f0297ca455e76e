"""Pure code between operations and bytes: nothing here opens, waits or sends."""
