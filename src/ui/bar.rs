use std::{sync::Mutex, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::progress::Progress;

// The bar takes what the rest leaves of a terminal's 80 columns.
const WITH_TOTAL: &str = "{prefix}: {msg:<10} {wide_bar} {bytes:>11} of \
                          {total_bytes} {binary_bytes_per_sec:>12} {eta:>4}";
const WITHOUT_TOTAL: &str = "{prefix}: {msg:<10} {spinner} {bytes:>11}";

/// Progress as one line on a terminal, below those of other subjects.
#[derive(Debug)]
pub(super) struct Bar {
    subject: String,
    all: MultiProgress,
    // `None` between stages.
    current: Mutex<Option<(ProgressBar, &'static str)>>,
}

impl Bar {
    pub(super) fn new(subject: &str, all: &MultiProgress) -> Self {
        let current = Mutex::new(None);
        Self { subject: subject.to_owned(), all: all.clone(), current }
    }

    fn with<T>(
        &self,
        f: impl FnOnce(&mut Option<(ProgressBar, &'static str)>) -> T,
    ) -> T {
        // A panic elsewhere leaves at worst a stale line.
        let mut current =
            self.current.lock().unwrap_or_else(|poison| poison.into_inner());
        f(&mut current)
    }

    fn clear(&self) {
        self.with(|current| {
            if let Some((bar, _)) = current.take() {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
        });
    }
}

fn style(total: bool) -> ProgressStyle {
    let template = if total { WITH_TOTAL } else { WITHOUT_TOTAL };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bar {
    fn start(&self, stage: &'static str, total: Option<u64>) {
        self.clear();
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        // Complete before it is first drawn.
        let bar = bar
            .with_style(style(total.is_some()))
            .with_prefix(self.subject.clone())
            .with_message(stage);
        let bar = self.all.add(bar);
        bar.enable_steady_tick(Duration::from_millis(100));
        self.with(|current| *current = Some((bar, stage)));
    }

    fn expect(&self, total: u64) {
        self.with(|current| {
            if let Some((bar, _)) = current {
                bar.set_length(total);
                bar.set_style(style(true));
            }
        });
    }

    fn advance(&self, bytes: u64) {
        self.with(|current| {
            if let Some((bar, _)) = current {
                bar.inc(bytes);
            }
        });
    }

    fn limited_by(&self, what: &'static str) {
        self.with(|current| {
            if let Some((bar, stage)) = current {
                bar.set_message(format!("{stage} (waits for {what})"));
            }
        });
    }

    fn finish(&self) {
        self.clear();
    }

    fn fail(&self) {
        self.clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
