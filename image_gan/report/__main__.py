import sys

from image_gan.report.cli import main

if __name__ == "__main__":
    sys.exit(main())
