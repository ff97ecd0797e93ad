"""Whether attention is an explanation: Wiegreffe and Pinter 2019."""
