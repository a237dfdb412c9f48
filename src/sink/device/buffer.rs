use super::{BLOCK, CHUNK};
use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

const SIZE: &str = "it was made a block larger than a chunk";
const GIVEN: &str = "it is taken only when this is dropped";

/// Memory of [`CHUNK`] bytes that begins where direct I/O wants it.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        let align = usize::try_from(BLOCK).expect("4096");
        let bytes = vec![0; CHUNK.checked_add(align).expect("constants")];
        let start = bytes.as_ptr().align_offset(align);
        Self { bytes, start }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
            .get(self.start..)
            .and_then(|bytes| bytes.get(..CHUNK))
            .expect(SIZE)
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(self.start..)
            .and_then(|bytes| bytes.get_mut(..CHUNK))
            .expect(SIZE)
    }

    /// Returns the first `len` bytes; nothing where it has not as many.
    pub(super) fn first(&self, len: u64) -> Option<&[u8]> {
        self.bytes().get(..usize::try_from(len).ok()?)
    }

    /// The same, to be written to.
    pub(super) fn first_mut(&mut self, len: u64) -> Option<&mut [u8]> {
        self.bytes_mut().get_mut(..usize::try_from(len).ok()?)
    }
}

/// A fixed number of buffers: who wants one waits until one is there. That
/// bounds the memory of a run, and lets the slowest card set the pace.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    spare: Vec<Buffer>,
    /// How many may still be made.
    unmade: usize,
}

impl Pool {
    pub(super) fn new(buffers: usize) -> Self {
        let state = State { spare: Vec::new(), unmade: buffers };
        let returned = Condvar::new();
        Self(Arc::new(Shared { state: Mutex::new(state), returned }))
    }

    /// Returns a buffer, which holds anything.
    pub(super) fn take(&self) -> Pooled {
        let shared = &*self.0;
        let mut state =
            shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(buffer) = state.spare.pop() {
                return Pooled { buffer: Some(buffer), pool: self.clone() };
            }
            if let Some(left) = state.unmade.checked_sub(1) {
                state.unmade = left;
                drop(state);
                let buffer = Some(Buffer::new());
                return Pooled { buffer, pool: self.clone() };
            }
            state = shared
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A buffer of a [`Pool`], given back when it is dropped.
pub(super) struct Pooled {
    // `None` only while it is dropped.
    buffer: Option<Buffer>,
    pool: Pool,
}

impl Pooled {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().expect(GIVEN).bytes()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().expect(GIVEN).bytes_mut()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let shared = &*self.pool.0;
            let mut state =
                shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.spare.push(buffer);
            shared.returned.notify_one();
        }
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its content is an image's: keys, among others.
        f.write_str("Pooled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_come_back() {
        let pool = Pool::new(2);
        let (mut a, b) = (pool.take(), pool.take());
        for buffer in [&a, &b] {
            assert_eq!(buffer.bytes().len(), CHUNK);
            assert_eq!(buffer.bytes().as_ptr().align_offset(4096), 0);
        }
        a.bytes_mut()[7] = 7;
        let waiting = std::thread::spawn(move || pool.take().bytes()[7]);
        drop(a);
        assert_eq!(waiting.join().unwrap(), 7);
        drop(b);
    }
}
