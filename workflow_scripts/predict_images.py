"""Apply a published model: one row per picture; of scans one per slice and one per cell; of rows
one per row. predict_images.py and predict_table.py are names of the same program.
"""

import sys

from batteryscope.bundle.predict_program import main

if __name__ == "__main__":
    sys.exit(main())
