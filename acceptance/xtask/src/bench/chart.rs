//! A chart of horizontal bars as SVG, readable on light and on dark.

use std::fmt::{self, Write as _};

/// Bars with one scale.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) groups: Vec<Group>,
}

/// Bars that are compared with each other.
pub(super) struct Group {
    pub(super) label: String,
    pub(super) bars: Vec<ChartBar>,
}

/// One of them.
pub(super) struct ChartBar {
    pub(super) colour: Colour,
    pub(super) value: f64,
    /// What stands at its end.
    pub(super) text: String,
}

/// Who a bar is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Kernel,
    Others,
    Ours,
}

const WIDTH: f64 = 820.0;
const LABELS: f64 = 210.0;
const LONGEST_BAR: f64 = 480.0;
const BAR: f64 = 14.0;
const BETWEEN_BARS: f64 = 2.0;
const BETWEEN_GROUPS: f64 = 10.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 14px; font-weight: 600; }
.kernel { fill: #8c959f; } .others { fill: #bc8c3c; } .ours { fill: #2f6fd0; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .kernel { fill: #768390; } .others { fill: #d4a656; } .ours { fill: #6ea8fe; }
}
";

/// The whole picture, with a legend in the first line.
pub(super) fn svg(legend: &[(Colour, &str)], panels: &[Panel]) -> String {
    let mut canvas = Canvas { body: String::new(), y: 8.0 };
    canvas.legend(legend);
    panels.iter().for_each(|panel| canvas.panel(panel));
    let (height, body) = (canvas.y + 8.0, canvas.body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

struct Canvas {
    body: String,
    /// Where the next thing goes.
    y: f64,
}

impl Canvas {
    fn legend(&mut self, legend: &[(Colour, &str)]) {
        let mut x = LABELS;
        for (colour, name) in legend {
            self.rectangle(x, BAR, *colour);
            self.text(x + BAR + 6.0, "", name);
            x += 190.0;
        }
        self.y += BAR;
    }

    fn panel(&mut self, panel: &Panel) {
        self.y += TITLE - BAR;
        self.text(8.0, " class=\"title\"", &panel.title);
        self.y += BAR + BETWEEN_GROUPS;
        let values = panel.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value);
        let most = values.fold(f64::MIN_POSITIVE, f64::max);
        for group in &panel.groups {
            let top = self.y;
            self.y += (group.bars.len().saturating_sub(1) as f64) * (BAR + BETWEEN_BARS) / 2.0;
            self.text(8.0, "", &group.label);
            self.y = top;
            for bar in &group.bars {
                let width = (bar.value / most * LONGEST_BAR).max(1.0);
                self.rectangle(LABELS, width, bar.colour);
                self.text(LABELS + width + 6.0, "", &bar.text);
                self.y += BAR + BETWEEN_BARS;
            }
            self.y += BETWEEN_GROUPS;
        }
    }

    fn rectangle(&mut self, x: f64, width: f64, colour: Colour) {
        let class = match colour {
            Colour::Kernel => "kernel",
            Colour::Others => "others",
            Colour::Ours => "ours",
        };
        let y = self.y;
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        ));
    }

    fn text(&mut self, x: f64, attributes: &str, text: &str) {
        let (y, text) = (self.y + BAR - 3.0, escaped(text));
        self.put(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\"{attributes}>{text}</text>"));
    }

    fn put(&mut self, element: fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a String takes everything");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(colour: Colour, value: f64) -> ChartBar {
        ChartBar { colour, value, text: value.to_string() }
    }

    #[test]
    fn the_longest_bar_fills_its_room_and_the_others_are_in_proportion() {
        let groups =
            vec![Group { label: "a < b".to_owned(), bars: vec![bar(Colour::Ours, 8.0), bar(Colour::Others, 2.0)] }];

        let svg = svg(&[(Colour::Ours, "us")], &[Panel { title: "Speed".to_owned(), groups }]);

        assert!(svg.contains("class=\"ours\" x=\"210\" y=\"66\" width=\"480.0\""), "{svg}");
        assert!(svg.contains("class=\"others\" x=\"210\" y=\"82\" width=\"120.0\""), "{svg}");
        assert!(svg.contains(">a &lt; b</text>"), "{svg}");
    }
}
