"""Other tools as contenders in a comparison: what a user could have had instead. One file each, imported when it is named."""
