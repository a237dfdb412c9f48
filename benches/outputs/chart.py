"""Tables and charts of measurements: for a terminal, and as SVG."""

import math
from html import escape

WIDTH, LEFT, BAR, GAP, HEAD = 860, 330, 18, 6, 30


def groups(rows):
    found = {}
    for row in rows:
        found.setdefault(row["group"], []).append(row)
    return found


def ratio(row, members):
    """How many times as long as the first of the group, which is piflash."""
    times = row["wall"] / members[0]["wall"]
    return f"{times:.0f}" if times >= 10 else f"{times:.2g}"


def size(count):
    return "?" if count is None else f"{count / 1e6:,.0f}"


def table(rows):
    """Markdown, as wide as it needs."""
    lines = [["", "wall s", "CPU s", "peak MB", "written MB", "ratio"]]
    for group, members in groups(rows).items():
        lines.append([f"**{group}**"] + [""] * 5)
        for row in members:
            lines.append([
                row["name"], f"{row['wall']:.2f}", f"{row['cpu']:.2f}",
                size(row["peak"]), size(row["written"]),
                ratio(row, members)])
    lines.insert(1, ["---"] + ["---:"] * 5)
    widths = [max(len(line[at]) for line in lines) for at in range(6)]
    text = ""
    for line in lines:
        cells = [cell.ljust(width) if at == 0 else cell.rjust(width)
                 for at, (cell, width) in enumerate(zip(line, widths))]
        text += "| " + " | ".join(cells) + " |\n"
    return text


def svg(rows):
    """Bars of wall time on a logarithmic scale, a group below another."""
    found = {group: members for group, members in groups(rows).items()
             if group != "once"}
    walls = [row["wall"] for members in found.values() for row in members]
    low = 10 ** math.floor(math.log10(min(walls)))
    high = 10 ** math.ceil(math.log10(max(walls)))
    room = WIDTH - LEFT - 110

    def x(wall):
        return room * math.log(wall / low) / math.log(high / low)

    parts, y = [], 24
    for group, members in found.items():
        parts.append(f'<text x="8" y="{y + 12}" class="group">'
                     f"{escape(group)}</text>")
        y += HEAD - 8
        for row in members:
            kind = "ours" if row["name"].startswith("piflash") else "theirs"
            label = f"{row['wall']:.2f} s"
            if row is not members[0]:
                label += f" ({ratio(row, members)}x)"
            parts.append(
                f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">'
                f"{escape(row['name'])}</text>"
                f'<rect x="{LEFT}" y="{y}" width="{max(x(row["wall"]), 2):.1f}"'
                f' height="{BAR}" class="{kind}"/>'
                f'<text x="{LEFT + max(x(row["wall"]), 2) + 6:.1f}" '
                f'y="{y + 13}">{label}</text>')
            y += BAR + GAP
        y += 10
    style = ("text{font:12px sans-serif;fill:#555}.group{font-weight:bold}"
             ".ours{fill:#c51a4a}.theirs{fill:#9aa5b1}")
    title = "Seconds for the images of nodes (logarithmic scale)"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{y + 10}" viewBox="0 0 {WIDTH} {y + 10}" role="img">'
            f"<title>{title}</title><style>{style}</style>"
            f'<text x="8" y="14">{title}</text>' + "".join(parts)
            + "</svg>\n")
