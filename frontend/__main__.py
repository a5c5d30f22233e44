import sys

from frontend.app import main

if __name__ == "__main__":
    sys.exit(main())
