"""From prediction files to result tables: metrics, confidence intervals, significance, reports, figures."""
