"""Studies whose data are tables: rows, splits and very small networks."""
