"""The embedded site of `gapcheck demo`."""
