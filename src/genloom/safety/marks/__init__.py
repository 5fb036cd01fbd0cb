"""Marks on everything that leaves: labels, watermarks and signatures, and their verification.

`apply.mark` puts them on in the right order (pixels first, labels next, the signature last), and
`verify.check` tells what a file carries and how far that can be believed.
"""
