"""The gateway: a mock of a video-generation API whose access can be leaked, and cut off, on purpose."""

__version__ = "0.1.0"
