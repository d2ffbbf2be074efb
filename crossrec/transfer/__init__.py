"""Transfer methods: what is carried from the source domain to the target domain."""
