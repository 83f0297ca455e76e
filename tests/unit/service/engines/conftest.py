"""What the tests of the engines share."""

from hypothesis import settings

# The first example loads the vocabulary, which a busy machine does not do within the 200 ms that
# hypothesis grants each.
settings.register_profile("engines", deadline=None)
settings.load_profile("engines")
