"""Transfer of parameters: the target model starts from, and stays near, the source weights."""
