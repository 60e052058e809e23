//! `ringfence top`: what the live sandboxes of this user use, again and again on a terminal, once elsewhere.

mod sample;
#[cfg(feature = "top")]
mod screen;
#[cfg(feature = "top")]
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use crate::colour::{self, Style};
use crate::{output, table};
use sample::{Sampler, Sort};

/// Between the two looks that a figure of processor time per second needs.
const SOON: Duration = Duration::from_millis(300);

/// Shows them until it is left; one table where nobody can press a key.
pub(crate) fn top(once: bool) -> u8 {
    #[cfg(feature = "top")]
    if !once && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return screen::show();
    }
    let _without_the_screen_it_is_always_once = once;
    print_once()
}

fn print_once() -> u8 {
    let mut sampler = Sampler::default();
    if !sampler.sample().is_empty() {
        std::thread::sleep(SOON);
    }
    let mut rows = sampler.sample();
    Sort::Cpu.apply(&mut rows);
    let mut lines = sample::table(&rows).lines(table::width());
    let coloured = colour::wanted(std::io::stdout().is_terminal());
    lines[0] = colour::styled(&lines[0], Style::Heading, coloured).into_owned();
    output::print(lines.join("\n") + "\n")
}
