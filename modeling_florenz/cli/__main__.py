"""Run `florenz` as `python -m modeling_florenz.cli`."""

import sys

from . import main


sys.exit(main())
