use std::{sync::Mutex, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

// The bar takes what the rest leaves of a terminal's 80 columns.
const WITH_TOTAL: &str = "{prefix}: {msg:<10} {wide_bar} {bytes:>11} of \
                          {total_bytes} {binary_bytes_per_sec:>12} {eta:>4}";
const WITHOUT_TOTAL: &str = "{prefix}: {msg:<10} {spinner} {bytes:>11}";

/// Progress as one line on a terminal, one stage at a time.
#[derive(Debug)]
pub struct Bar {
    subject: String,
    drawn: bool,
    // `None` between stages.
    current: Mutex<Option<ProgressBar>>,
}

impl Bar {
    pub(super) fn new(subject: &str, drawn: bool) -> Self {
        Self { subject: subject.to_owned(), drawn, current: Mutex::new(None) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Option<ProgressBar>) -> T) -> T {
        // A panic elsewhere leaves at worst a stale line.
        let mut current =
            self.current.lock().unwrap_or_else(|poison| poison.into_inner());
        f(&mut current)
    }
}

impl Progress for Bar {
    fn start(&self, stage: &'static str, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        bar.set_draw_target(if self.drawn {
            ProgressDrawTarget::stderr_with_hz(15)
        } else {
            ProgressDrawTarget::hidden()
        });
        let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(self.subject.clone());
        bar.set_message(stage);
        bar.enable_steady_tick(Duration::from_millis(100));
        self.with(|current| *current = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.inc(bytes);
            }
        });
    }

    fn finish(&self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}
