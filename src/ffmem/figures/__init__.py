"""Results -> charts: charts.py knows the plotting library, the others what is to be seen."""
