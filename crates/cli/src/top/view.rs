//! What the screen shows and what a key does to it, without a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::sample::{self, Row, Sort};
use crate::{human, ps, table};

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Leave,
    Suspend,
    Letter(char),
    Other,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Stay,
    Quit,
    Suspend,
    /// The sandbox with this id is to be killed.
    Kill(String),
}

/// The screen's state.
pub(super) struct View {
    rows: Vec<Row>,
    sort: Sort,
    /// The id of the row that keys are about: it stays the same one when the order changes.
    chosen: Option<String>,
    /// The id of the sandbox that may be killed, while that is asked.
    asked: Option<String>,
    said: String,
    coloured: bool,
}

impl View {
    pub(super) fn new(coloured: bool) -> Self {
        Self { rows: Vec::new(), sort: Sort::Cpu, chosen: None, asked: None, said: String::new(), coloured }
    }

    /// Takes a new look at the sandboxes.
    pub(super) fn take(&mut self, mut rows: Vec<Row>) {
        self.sort.apply(&mut rows);
        self.rows = rows;
        // A question about one that has ended is answered.
        self.asked = self.asked.take().filter(|id| self.position(id).is_some());
        self.chosen = self.chosen.take().filter(|id| self.position(id).is_some());
    }

    /// Says something until the next key.
    pub(super) fn say(&mut self, text: String) {
        self.said = text;
    }

    pub(super) fn find(&self, id: &str) -> Option<&Row> {
        self.position(id).map(|at| &self.rows[at])
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.entry.id == id)
    }

    /// The row that keys are about: the first when none was chosen.
    fn current(&self) -> usize {
        self.chosen.as_deref().and_then(|id| self.position(id)).unwrap_or(0)
    }

    pub(super) fn press(&mut self, key: Key) -> Act {
        self.said.clear();
        if let Some(id) = self.asked.take() {
            return if key == Key::Letter('y') { Act::Kill(id) } else { Act::Stay };
        }
        match key {
            Key::Leave | Key::Letter('q') => return Act::Quit,
            Key::Suspend => return Act::Suspend,
            Key::Up => self.choose(self.current().saturating_sub(1)),
            Key::Down => self.choose(self.current() + 1),
            Key::Letter('k') => {
                self.choose(self.current());
                self.asked.clone_from(&self.chosen);
            }
            Key::Letter('s') => {
                self.choose(self.current());
                let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or(0);
                self.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
                self.sort.apply(&mut self.rows);
            }
            Key::Letter(_) | Key::Other => {}
        }
        Act::Stay
    }

    fn choose(&mut self, at: usize) {
        let last = self.rows.len().saturating_sub(1);
        self.chosen = self.rows.get(at.min(last)).map(|row| row.entry.id.clone());
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let [summary, heading, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let lines = sample::table(&self.rows).lines(Some(usize::from(frame.area().width)));
        frame.render_widget(Line::raw(self.summary()), summary);
        // Reverse and bold are no colours.
        let bold = if self.coloured { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        frame.render_widget(Line::styled(lines[0].as_str(), bold), heading);
        let (current, room) = (self.current(), usize::from(body.height));
        // As far down as the chosen row needs.
        let first = (current + 1).saturating_sub(room);
        for (at, line) in lines[1..].iter().enumerate().skip(first).take(room) {
            let style =
                if at == current { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            let width = usize::from(body.width);
            let row = ratatui::layout::Rect { y: body.y + (at - first) as u16, height: 1, ..body };
            frame.render_widget(Line::styled(format!("{line:width$}"), style), row);
        }
        frame.render_widget(Line::raw(table::cut(&self.foot(), Some(usize::from(foot.width)))), foot);
    }

    fn summary(&self) -> String {
        let figures = || self.rows.iter().filter_map(|row| row.figures.as_ref());
        let cpu: f64 = self.rows.iter().filter_map(|row| row.cpu).sum();
        let memory: u64 = figures().map(|figures| figures.memory_bytes).sum();
        let processes: u64 = figures().map(|figures| figures.processes).sum();
        let count = match self.rows.len() {
            0 => return "no sandbox is live".to_owned(),
            1 => "1 live sandbox".to_owned(),
            count => format!("{count} live sandboxes"),
        };
        let memory = human::bytes(memory);
        let processes =
            if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") };
        format!("{count}: {cpu:.1} % of a processor, {memory} of memory, {processes}")
    }

    fn foot(&self) -> String {
        if let Some(row) = self.asked.as_deref().and_then(|id| self.find(id)) {
            let called = row.entry.name.as_deref().unwrap_or(&row.entry.id);
            let (called, command) = (crate::messages::escaped(called), ps::command(&row.entry));
            return format!("kill {called}? y, or any other key: {}", crate::messages::escaped(&command));
        }
        if !self.said.is_empty() {
            return crate::messages::escaped(&self.said).into_owned();
        }
        let sort = match self.sort {
            Sort::Cpu => "cpu",
            Sort::Memory => "memory",
            Sort::Processes => "processes",
            Sort::Age => "age",
            Sort::Name => "name",
        };
        format!("q quit  k kill  s sort ({sort})  arrows choose")
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::top::sample::tests::rows;

    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    fn view() -> View {
        let mut view = View::new(false);
        view.take(rows());
        view
    }

    #[test]
    fn the_screen_of_80_by_24() {
        let lines = drawn(&view(), 80, 24);
        assert_eq!(lines[0], "3 live sandboxes: 155.0 % of a processor, 1.4 KiB of memory, 11 processes");
        assert_eq!(lines[1], "ID        NAME    CPU%  MEMORY  PROCS   AGE  COMMAND");
        assert_eq!(lines[2], r"bbbbbbbb  -      150.0    200B      7  7.0s  sh -c '\u{1b}[2J\nx'");
        assert_eq!(lines[4].split_whitespace().nth(1), Some("ant"));
        assert_eq!(lines[23], "q quit  k kill  s sort (cpu)  arrows choose");
    }

    #[test]
    fn every_size_can_be_drawn_and_the_chosen_row_is_seen() {
        let mut view = view();
        (0..5).for_each(|_| drop(view.press(Key::Down)));
        for height in 0..8 {
            for width in [0, 1, 2, 9, 40, 200] {
                drawn(&view, width, height);
            }
        }
        assert!(drawn(&view, 60, 4)[2].starts_with("cccccccc"), "{:?}", drawn(&view, 60, 4));
        assert_eq!(drawn(&View::new(true), 40, 3)[0], "no sandbox is live");
    }

    #[test]
    fn only_a_yes_kills_and_only_the_one_that_was_asked_about() {
        let mut view = view();
        assert_eq!(view.press(Key::Letter('y')), Act::Stay);
        view.press(Key::Down);
        assert_eq!(view.press(Key::Letter('k')), Act::Stay);
        assert!(drawn(&view, 80, 24)[23].starts_with("kill zebra? y"), "{:?}", drawn(&view, 80, 24));
        // The order changes under the question.
        let mut other = rows();
        other[0].cpu = Some(900.0);
        view.take(other);
        assert_eq!(view.press(Key::Letter('y')), Act::Kill("aaaaaaaa1".to_owned()));
        for no in [Key::Letter('n'), Key::Letter('k'), Key::Letter('q'), Key::Leave, Key::Other] {
            view.press(Key::Letter('k'));
            assert_eq!(view.press(no), Act::Stay);
            assert_eq!(view.press(Key::Letter('y')), Act::Stay, "{no:?}");
        }
        // One that has ended meanwhile is nobody to kill.
        view.press(Key::Letter('k'));
        view.take(Vec::new());
        assert_eq!(view.press(Key::Letter('y')), Act::Stay);
        assert_eq!(view.press(Key::Letter('k')), Act::Stay);
    }

    #[test]
    fn the_chosen_one_stays_chosen_in_another_order() {
        let mut view = view();
        assert_eq!(view.press(Key::Letter('s')), Act::Stay);
        let lines = drawn(&view, 80, 24);
        assert!(lines[23].contains("sort (memory)") && lines[2].starts_with("cccccccc"), "{lines:?}");
        assert_eq!(view.rows[view.current()].entry.id, "bbbbbbbb2", "the first before");
        for (key, act) in
            [(Key::Letter('q'), Act::Quit), (Key::Leave, Act::Quit), (Key::Suspend, Act::Suspend)]
        {
            assert_eq!(view.press(key), act);
        }
    }
}
