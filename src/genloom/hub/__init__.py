"""Models in the formats of other libraries; every foreign convention ends here."""
