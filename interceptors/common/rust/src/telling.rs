//! What the consumers of one view in this process are handed, told to a sidecar.
//!
//! A fault in here ends the telling, never the application.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lacuna_ring::Reading;

use crate::check::CheckOptions;
use crate::lane::lock;
use crate::switch::Switch;
use crate::teller::Teller;
use crate::way::Way;

/// The way from consumers to a sidecar; `N` is how the interceptor finds the slots of its broker's
/// partitions.
#[derive(Debug)]
pub struct Telling<N> {
    switch: Switch,
    /// Something may have passed while the switch was off.
    missed: AtomicBool,
    lost: AtomicU64,
    /// `None`: nobody is told, or a fault has ended it.
    teller: Mutex<Option<(Teller, N)>>,
}

impl<N: Default> Telling<N> {
    /// Tells what this view is handed, by the way that the options name. Where that cannot be gone,
    /// the application runs on, and its sidecar does not hear of it.
    #[must_use]
    pub fn start(view: &str, reading: Reading, options: &CheckOptions) -> Self {
        let way = Way::find(view, reading, options);
        Self {
            switch: options.switch.clone(),
            missed: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            teller: Mutex::new(way.map(|way| (Teller::new(way), N::default()))),
        }
    }

    /// The switch that governs the checking.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Whether there is a way to a sidecar.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        lock(&self.teller).is_some()
    }

    /// Messages that were handed over and could not be told.
    #[must_use]
    pub fn untold(&self) -> u64 {
        let refused = lock(&self.teller).as_ref().map_or(0, |(teller, _)| teller.refused());
        self.lost.load(Ordering::Relaxed) + refused
    }

    /// The application is about to be handed a message, which `tell` tells; false: it could not.
    #[inline]
    pub fn observe(&self, tell: impl FnOnce(&mut Teller, &mut N) -> bool) {
        if !self.switch.is_on() {
            if !self.missed.swap(true, Ordering::Relaxed) {
                self.tell(|teller, _| teller.fall_behind());
            }
            return;
        }
        self.missed.store(false, Ordering::Relaxed);
        if self.tell(tell) == Some(false) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells something; `None`: there is nobody to be told.
    pub fn tell<T>(&self, work: impl FnOnce(&mut Teller, &mut N) -> T) -> Option<T> {
        let mut slot = lock(&self.teller);
        let (teller, names) = slot.as_mut()?;
        let result = catch_unwind(AssertUnwindSafe(|| work(teller, names)));
        if result.is_err() {
            // What a panic leaves behind is not to be trusted, and nothing more will be told.
            teller.fall_behind();
            teller.give_up();
            *slot = None;
        }
        result.ok()
    }
}
