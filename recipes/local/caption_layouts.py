"""Corpora of pictures with captions, in the layouts that they are published in."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from picture_data import Fault

from image_gan import captions
from image_gan.pickles import read_names

TEST = ("test", "val", "valid", "validation", "dev")  # splits for the test: the first that occurs
SETS = {"trnid": "train", "valid": "train", "tstid": "test"}  # what setid.mat has


@dataclass(frozen=True)
class Found:
    """A picture of a corpus and what is said of it.

    ``name`` is what lists and embeddings call it, ``group`` its class, ``part`` train or test, None
    where the corpus doesn't say.
    """

    name: str
    path: Path
    captions: list[str]
    group: str = ""
    part: str | None = None
    box: list[float] | None = None
    attributes: dict[str, str] = field(default_factory=dict)


# A captions.jsonl


def jsonl(corpus: Path, texts: Path | None) -> list[Found]:
    """Return what a folder with a captions.jsonl has; lines may have a "split"."""
    entries, path = captions.read(corpus), corpus / captions.NAME
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    told = [json.loads(line) for line in lines if line.strip()]
    splits = [one.get("split") for one in told]
    held = next((name for name in TEST if name in splits), None)
    if held and not all(isinstance(split, str) for split in splits):
        raise Fault(f'{path}: some lines have a "split", others have none')
    parts = ("test" if split == held else "train" for split in splits)
    return [
        Found(
            Path(said["image"]).with_suffix("").as_posix(),
            one.path,
            one.captions,
            part=part if held else None,
            box=list(one.box) if one.box else None,
            attributes=one.attributes,
        )
        for said, one, part in zip(told, entries, parts, strict=True)
    ]


# Birds and flowers, and the captions of Reed et al., a file for each picture, a line for each


def cub(corpus: Path, texts: Path | None) -> list[Found]:
    """Return what CUB-200-2011 has."""
    root = corpus / "CUB_200_2011" if (corpus / "CUB_200_2011").is_dir() else corpus
    places = table(root / "images.txt", 1)
    boxes = table(root / "bounding_boxes.txt", 4)
    told = root / "train_test_split.txt"
    training = table(told, 1) if told.is_file() else {}
    texts, faults, found = text_folder(corpus, texts), [], []
    for number, (place,) in places.items():
        name = Path(place).with_suffix("").as_posix()
        if number not in boxes:
            faults.append(f"{root / 'bounding_boxes.txt'}: no picture {number}, which is {name}")
            continue
        one = Found(name, root / "images" / place, [], group=name.split("/")[0])
        if number in training:
            one = replace(one, part="train" if training[number] == ["1"] else "test")
        found.append(replace(one, box=list(map(float, boxes[number]))))
    raise_all(faults)
    return with_captions(found, lambda one: texts / f"{one.name}.txt")


def flowers(corpus: Path, texts: Path | None) -> list[Found]:
    """Return what Oxford-102 has; classes are those of the folders of captions."""
    pictures = sorted((corpus / "jpg").glob("*.jpg"))
    if not pictures:
        raise Fault(f"{corpus / 'jpg'}: no pictures; the layout flowers has jpg/image_00001.jpg")
    texts, parts = text_folder(corpus, texts), parts_of(corpus / "setid.mat")
    places = {path.stem: path for path in sorted(texts.glob("*/*.txt"))}
    found = []
    for path in pictures:
        place = places.get(path.stem, texts / "class_00000" / f"{path.stem}.txt")
        part = parts.get(int(path.stem.split("_")[-1])) if parts else None
        found.append(Found(f"jpg/{path.stem}", path, [], group=place.parent.name, part=part))
    return with_captions(found, lambda one: texts / one.group / f"{one.path.stem}.txt")


def parts_of(path: Path) -> dict[int, str]:
    """Return the part of each picture by its number, from setid.mat where it is there."""
    if not path.is_file():
        return {}
    from scipy.io import loadmat

    try:
        sets = loadmat(path, variable_names=list(SETS))
        return {int(one): part for name, part in SETS.items() for one in sets[name].ravel()}
    except (KeyError, TypeError, ValueError, NotImplementedError):
        raise Fault(
            f"{path}: not the sets of Oxford-102; take it away, or fetch it again"
        ) from None


def text_folder(corpus: Path, texts: Path | None) -> Path:
    """Return where the folders of captions are: in the folder given, or in the corpus."""
    given = texts or corpus
    for folder in (given / "text_c10", given / "text", given if texts else None):
        if folder and folder.is_dir():
            return folder
    raise Fault(f"{given}: no captions in it: no folder text_c10; say where with --captions DIR")


def with_captions(found: Iterable[Found], place: Callable[[Found], Path]) -> list[Found]:
    """Return pictures with their captions; raise Fault where one or the other is missing."""
    faults, complete = [], []
    for one in found:
        try:
            complete.append(replace(one, captions=lines_of(place(one), one.path)))
        except (OSError, ValueError) as error:
            faults.append(str(error))
    raise_all(faults)
    return complete


def lines_of(path: Path, picture: Path) -> list[str]:
    """Return the captions in a file, a line each; raise Fault where these or the picture miss."""
    if not picture.is_file():
        raise Fault(f"{picture}: no such picture")
    if not path.is_file():
        raise Fault(f"{path}: no such file; the captions of {picture.name} should be there")
    try:
        lines = path.read_bytes().decode("utf-8-sig").rstrip().replace("\ufffd\ufffd", " ")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Fault(f"{path}: line {line}: no UTF-8") from None
    if not lines:
        raise Fault(f"{path}: no captions in it")
    texts = [" ".join(line.split()) for line in lines.split("\n")]
    if "" in texts:
        raise Fault(f"{path}: line {texts.index('') + 1}: empty")
    return texts


def table(path: Path, columns: int) -> dict[int, list[str]]:
    """Return the rows of one of CUB's tables by their number."""
    if not path.is_file():
        raise Fault(f"{path}: no such file; the layout cub is that of CUB_200_2011")
    rows = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if len(words) != columns + 1 or not words[0].isdecimal():
            raise Fault(f"{path}: line {number}: not a number and {columns} more: {line[:60]!r}")
        rows[int(words[0])] = words[1:]
    return rows


# COCO


def coco(corpus: Path, texts: Path | None) -> list[Found]:
    """Return what COCO has, of 2014 or of 2017: val is for the test."""
    folder = texts or corpus / "annotations"
    for year in ("2014", "2017"):
        places = {part: folder / f"captions_{part}{year}.json" for part in ("train", "val")}
        if all(path.is_file() for path in places.values()):
            return [
                one
                for part, path in places.items()
                for one in annotated(
                    path, corpus / f"{part}{year}", "train" if part == "train" else "test"
                )
            ]
    raise Fault(f"{folder}: no captions_train2014.json and captions_val2014.json in it")


def annotated(path: Path, pictures: Path, part: str) -> list[Found]:
    """Return the pictures of one of COCO's files."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {one["id"]: one["file_name"] for one in content["images"]}
        said: dict[int, list[str]] = {number: [] for number in names}
        for one in content["annotations"]:
            said[one["image_id"]].append(" ".join(one["caption"].split()))
        found = [
            Found(Path(name).stem, pictures / name, said[number], part=part)
            for number, name in names.items()
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Fault(f"{path}: not COCO's captions ({type(error).__name__}: {error})") from None
    faults = [f"{path}: picture {one.path.name}: no caption" for one in found if not one.captions]
    faults += [
        f"{path}: picture {one.path.name}: an empty caption" for one in found if "" in one.captions
    ]
    raise_all(faults + [f"{one.path}: no such picture" for one in found if not one.path.is_file()])
    return found


# Which are for the test


def by_classes(found: list[Found], folder: Path) -> list[Found] | None:
    """Return pictures with the part of their class, as the lists of Reed et al. have it."""
    lists = {"train": folder / "trainvalclasses.txt", "test": folder / "testclasses.txt"}
    if not all(path.is_file() for path in lists.values()):
        return None
    parts = {}
    for part, path in lists.items():
        parts |= dict.fromkeys(path.read_text(encoding="utf-8").split(), part)
    missing = sorted({one.group for one in found} - set(parts))
    if missing:
        raise Fault(f"{lists['train']}: has no class {missing[0]}, nor has {lists['test'].name}")
    return [replace(one, part=parts[one.group]) for one in found]


def by_names(found: list[Found], folder: Path) -> list[Found]:
    """Return the pictures in train/filenames.pickle and test/filenames.pickle, with these parts."""
    known, chosen = {one.name: one for one in found}, []
    for part in ("train", "test"):
        path = folder / part / "filenames.pickle"
        for name in read_names(path):
            if name not in known:
                raise Fault(f"{path}: {name!r} is no picture of the corpus")
            chosen.append(replace(known[name], part=part))
    return chosen


def raise_all(faults: list[str]) -> None:
    """Raise Fault with all that was found wrong, if anything was."""
    if faults:
        raise Fault("\n".join(faults))


LAYOUTS = {"jsonl": jsonl, "cub": cub, "flowers": flowers, "coco": coco}
