"""`python -m tests.real.image` builds the image and prints its size and its packages, as docs/image.md shows them."""

from tests.real.image.image import Image, megabytes


def main() -> None:
    image = Image()
    try:
        files = image.files()
        rows = list(megabytes(image))
        python, debian = image.python(), image.debian()
    finally:
        image.remove()
    print(f"{sum(files.values()) / 1e6:.1f} MB in {len(files)} files\n")
    print("| what | MB |\n|---|---|")
    for name, size in rows:
        print(f"| {name} | {size:.1f} |")
    for title, packages in (("Python", python), ("Debian", debian)):
        print(
            f"\n{len(packages)} {title} packages:",
            ", ".join(f"{name} {packages[name][0]}" for name in sorted(packages)),
        )


main()
