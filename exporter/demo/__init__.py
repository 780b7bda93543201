"""Small fake model servers: believable answers, and each of the ways in which a model server goes wrong."""
