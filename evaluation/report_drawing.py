"""A case as inline SVG: the picture, and over it everything that can be switched on and off."""

from collections.abc import Sequence

from evaluation.case import Case, CasePerson
from evaluation.report_html import Html, element
from pose.drawing import LEFT, RIGHT, limb_color, side_color
from pose.skeletons import Skeleton

_LETTERS = {"jitter": "J", "inversion": "I", "swap": "S", "miss": "M"}


def case_svg(case: Case, skeleton: Skeleton, picture: str, heatmap: str | None, name: str) -> Html:
    """Lines and points keep their width when it is magnified.

    Args:
        picture, heatmap: ids of the images in the page. name: of the picture, for who cannot see it.
    """
    size = max(case.width, case.height) / 32
    place = {"x": -0.5, "y": -0.5, "width": case.width, "height": case.height}  # integers are the pixels' centres
    layers = [
        element("use", href=f"#{picture}", **place),
        element("use", href=f"#{heatmap}", class_="heatmap", **place) if heatmap else None,
        [_person(person, skeleton, size) for person in sorted(case.persons, key=lambda person: not person.is_truth)],
    ]
    return element(
        "svg", element("title", name), layers, class_="picture", role="img",
        viewBox=f"-0.5 -0.5 {case.width} {case.height}", style=f"--text:{size:.1f}px",
    )  # fmt: skip


def picture_definition(name: str, case: Case, data: str, kind: str) -> Html:
    """A picture that several drawings use. `data`: base64."""
    image = element("image", href=f"data:image/{kind};base64,{data}", width="100%", height="100%",
                    preserveAspectRatio="none")  # fmt: skip
    return element("symbol", image, id=name, viewBox=f"0 0 {case.width} {case.height}", preserveAspectRatio="none")


def _person(person: CasePerson, skeleton: Skeleton, size: float) -> Html:
    seen = [third > 0 for _, _, third in person.keypoints]
    parts = [
        _box(person, seen),
        _limbs(person, skeleton, seen),
        [_keypoint(person, skeleton, k) for k in range(len(seen)) if seen[k]],
        [_letter(person, k, size) for k in sorted(person.errors) if seen[k]],
        _label(person, seen, size),
    ]
    return element("g", parts, class_=f"person {'truth' if person.is_truth else 'answer'} of-{_token(person.kind)}")


def _limbs(person: CasePerson, skeleton: Skeleton, seen: Sequence[bool]) -> list[Html]:
    """A path per side."""
    commands: dict[str, list[str]] = {}
    for start, end in skeleton.limbs:
        if seen[start] and seen[end]:
            (x1, y1, _), (x2, y2, _) = person.keypoints[start], person.keypoints[end]
            side = _side(limb_color(skeleton, start, end))
            commands.setdefault(side, []).append(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}")
    shapes = {side: "".join(parts) for side, parts in commands.items()}
    casing = element("path", class_="casing", d="".join(shapes.values())) if shapes else None
    return [part for part in (casing, *(element("path", class_=f"limb {s}", d=d) for s, d in shapes.items())) if part]


def _keypoint(person: CasePerson, skeleton: Skeleton, k: int) -> Html:
    """A line of no length with round ends: a point of the same size at every magnification."""
    x, y, third = person.keypoints[k]
    error = person.errors.get(k)
    told = f"{skeleton.keypoint_names[k]}, {'visibility' if person.is_truth else 'score'} {third:.3g}"
    d = f"M{x:.1f} {y:.1f}h0"
    ring = element("path", class_=f"ring kind-{_token(error)}", d=d) if error else None
    point = element("path", class_=f"point {_side(side_color(skeleton, k))}", d=d)
    title = element("title", f"{told}, {error}" if error else told)
    return element("g", title, ring, element("path", class_="rim", d=d), point, class_="keypoint")


def _letter(person: CasePerson, k: int, size: float) -> Html:
    x, y, _ = person.keypoints[k]
    letter = _LETTERS.get(person.errors[k], person.errors[k][:1].upper())
    return element("text", letter, class_="letter", x=f"{x + size / 4:.1f}", y=f"{y - size / 4:.1f}")


def _box(person: CasePerson, seen: Sequence[bool]) -> Html | None:
    box = person.box_xywh or _hull(person, seen)
    if box is None:
        return None
    x, y, width, height = (f"{value:.1f}" for value in box)
    return element("rect", class_="box", x=x, y=y, width=width, height=height)


def _label(person: CasePerson, seen: Sequence[bool], size: float) -> Html | None:
    box = person.box_xywh or _hull(person, seen)
    if box is None:
        return None
    below = box[1] + (size if person.is_truth else box[3])  # so that a person's two labels lie apart
    return element("text", f"{person.id}", class_="id", x=f"{box[0] + 2:.1f}", y=f"{below - 2:.1f}")


def _hull(person: CasePerson, seen: Sequence[bool]) -> tuple[float, float, float, float] | None:
    points = [(x, y) for (x, y, _), shown in zip(person.keypoints, seen, strict=True) if shown]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _side(color: tuple[int, int, int]) -> str:
    return {LEFT: "left", RIGHT: "right"}.get(color, "middle")


def _token(name: str) -> str:
    """A class from a name of data: a space would make two of it."""
    return "-".join(name.replace("_", " ").split())
