"""``python -m mentor_pyg`` is the command ``mentor-pyg``."""

import sys

from mentor_pyg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
