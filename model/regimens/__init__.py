"""What is given: doses, plans, rules, and the words and tables in which they are written."""
