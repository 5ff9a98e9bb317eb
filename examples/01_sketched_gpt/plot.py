"""Line plots as SVG text, standard library only."""
from html import escape

COLOURS = ["#1f6fb2", "#d1495b", "#2e8b57", "#8d5fd3", "#b8860b", "#444444"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 460, 70, 55, 20, 170


def ticks(low, high, count=6):
    """Round numbers that cover [low, high]."""
    raw = (high - low) / count or 1
    magnitude = 10 ** len(str(int(raw))) / 10 if raw >= 1 else 10 ** -len(str(int(1 / raw)))
    step = next(magnitude * m for m in (1, 2, 2.5, 5, 10, 20) if magnitude * m >= raw)
    first = int(low / step) * step
    return [first + i * step for i in range(count + 3) if low - 1e-9 <= first + i * step <= high + 1e-9]


def number(value):
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def line_plot(series, x_label, y_label):
    """`series`: {name: [(x, y), ...]}."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_low, x_high, y_low, y_high = min(xs), max(xs), min(ys), max(ys)

    def place(x, y):
        return (LEFT + (x - x_low) / ((x_high - x_low) or 1) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (y - y_low) / ((y_high - y_low) or 1) * (HEIGHT - BOTTOM - TOP))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for x in ticks(x_low, x_high):
        px, _ = place(x, y_low)
        parts.append(f'<line x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>'
                     f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number(x)}</text>')
    for y in ticks(y_low, y_high):
        _, py = place(x_low, y)
        parts.append(f'<line x1="{LEFT}" y1="{py:.1f}" x2="{WIDTH - RIGHT}" y2="{py:.1f}" stroke="#e4e4e4"/>'
                     f'<text x="{LEFT - 8}" y="{py + 4:.1f}" text-anchor="end">{number(y)}</text>')
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(x, y) for x, y in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 18 + 20 * i}" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>'
                 f'<text transform="translate(18,{HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text></svg>\n')
    return "\n".join(parts)
