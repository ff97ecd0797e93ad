"""Who may come in where others can reach the explorer: tokens, logins, a proxy, and what each visitor may do."""
