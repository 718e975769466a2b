//! Machine code in memory, and finding it again by address.
//!
//! Loaded images are listed in one process-wide snapshot: an immutable sorted
//! array behind an atomic pointer. Signal handlers read it without locking;
//! whoever replaces it waits until no reader of the old one is left before
//! freeing it. Readers are counted by generation, so that those who come later
//! are not waited for: in a process that throws on many threads there is always
//! one who reads.

use crate::generations::{Generations, Reading};
use crate::sys::mmap::Mmap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wasmprof_image::{Agents, Catch, CodeImage, CodeOffset, LoadedImage, Pc, TrapCode};

/// A code image mapped executable. Its agents know of it while it lives.
pub(crate) struct Code {
    image: CodeImage,
    memory: Mmap,
    agents: Arc<Agents>,
}

impl Code {
    /// Maps an image, lists it, and tells the agents.
    pub(crate) fn load(mut image: CodeImage, agents: Arc<Agents>) -> io::Result<Arc<Code>> {
        let text = std::mem::take(&mut image.text);
        let mut memory = Mmap::zeroed(text.len())?;
        // SAFETY: the mapping is new, writable, and at least as long as the text.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), memory.base(), text.len()) };
        drop(text);
        memory.make_executable()?;
        let code = Arc::new(Code { image, memory, agents });
        publish(|list| list.push(Listed::new(&code)));
        code.agents.loaded(code.loaded());
        Ok(code)
    }

    pub(crate) fn image(&self) -> &CodeImage {
        &self.image
    }

    /// The machine code.
    pub(crate) fn text(&self) -> &[u8] {
        let len = self.image.symbols.last().map_or(0, |last| last.range().end.index());
        // SAFETY: the mapping is readable, never written again, and lives as
        // long as `self`.
        unsafe { std::slice::from_raw_parts(self.memory.base(), len) }
    }

    pub(crate) fn address(&self, offset: CodeOffset) -> usize {
        self.memory.base() as usize + offset.index()
    }

    fn loaded(&self) -> LoadedImage<'_> {
        LoadedImage {
            image: &self.image,
            base: Pc(self.memory.base() as usize),
            len: self.memory.len(),
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let base = self.memory.base() as usize;
        publish(|list| list.retain(|listed| listed.start != base));
        self.agents.unloaded(self.loaded());
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("name", &self.image.name).finish_non_exhaustive()
    }
}

/// A place in compiled code, as a walk of the stack finds it.
#[derive(Clone, Debug)]
pub(crate) struct CodePlace {
    pub(crate) code: Arc<Code>,
    pub(crate) offset: CodeOffset,
}

#[derive(Clone, Copy)]
struct Listed {
    start: usize,
    end: usize,
    /// Not counted: the destructor of `Code` takes it out of the list, and
    /// waits for readers, before anything of it goes away.
    code: *const Code,
}

impl Listed {
    fn new(code: &Arc<Code>) -> Listed {
        let start = code.memory.base() as usize;
        Listed { start, end: start + code.memory.len(), code: Arc::as_ptr(code) }
    }
}

static SNAPSHOT: AtomicPtr<Vec<Listed>> = AtomicPtr::new(std::ptr::null_mut());
static GENERATIONS: Generations =
    Generations { ended: AtomicUsize::new(0), readers: [const { AtomicUsize::new(0) }; 2] };
static WRITER: Mutex<()> = Mutex::new(());

/// Replaces the snapshot by a changed copy.
fn publish(change: impl FnOnce(&mut Vec<Listed>)) {
    let _only_writer = WRITER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let old = SNAPSHOT.load(Ordering::SeqCst);
    // SAFETY: only a writer frees a snapshot, and this is the only one.
    let mut list = unsafe { old.as_ref() }.cloned().unwrap_or_default();
    change(&mut list);
    list.sort_unstable_by_key(|listed| listed.start);
    SNAPSHOT.store(Box::into_raw(Box::new(list)), Ordering::SeqCst);
    GENERATIONS.end();
    if !old.is_null() {
        // SAFETY: it came from a Box, and nobody can reach it any more.
        drop(unsafe { Box::from_raw(old) });
    }
}

/// Somebody who reads the list: what is in it stays alive as long. Safe in a
/// signal handler.
struct Reader {
    list: *const Vec<Listed>,
    _reading: Reading<'static>,
}

impl Reader {
    fn new() -> Reader {
        let reading = GENERATIONS.enter();
        Reader { list: SNAPSHOT.load(Ordering::SeqCst), _reading: reading }
    }

    /// The code at an address.
    fn at(&self, pc: Pc) -> Option<Listed> {
        // SAFETY: a snapshot is not freed while a reader is counted.
        let list = unsafe { self.list.as_ref() }?;
        let after = list.partition_point(|listed| listed.start <= pc.0);
        list.get(after.checked_sub(1)?).filter(|listed| pc.0 < listed.end).copied()
    }
}

/// Calls `read` with the code at `pc` and the offset in it. Safe in a signal
/// handler, if `read` is.
fn with_code_at<R>(pc: Pc, read: impl FnOnce(*const Code, CodeOffset) -> R) -> Option<R> {
    let reader = Reader::new();
    let listed = reader.at(pc)?;
    Some(read(listed.code, CodeOffset((pc.0 - listed.start) as u32)))
}

/// Why the instruction at `pc` traps, if it is one of compiled code that may.
pub(crate) fn trap_at(pc: Pc) -> Option<TrapCode> {
    // SAFETY: listed code is alive while a reader is counted.
    with_code_at(pc, |code, offset| unsafe { &(*code).image }.traps.get(offset)).flatten()
}

/// Looks for handlers up the stack. While it lives, no code goes away.
pub(crate) struct Handlers {
    reader: Reader,
    /// Where the last one was: the next one is mostly there, too.
    last: Option<Listed>,
}

/// What a call catches.
pub(crate) struct Catches<'a> {
    /// From the stack pointer of the call to its frame pointer, in bytes.
    pub(crate) frame_size: u32,
    pub(crate) catches: &'a [Catch],
    /// The address of the code.
    pub(crate) base: usize,
}

impl Handlers {
    pub(crate) fn new() -> Handlers {
        Handlers { reader: Reader::new(), last: None }
    }

    /// What the call that returns to `return_address` catches, if anything.
    /// `None` if there is no compiled code.
    pub(crate) fn of(&mut self, return_address: Pc) -> Option<Option<Catches<'_>>> {
        // A call may be the last instruction of its code.
        let pc = return_address.0 - 1;
        let last = self.last.filter(|last| (last.start..last.end).contains(&pc));
        let listed = last.or_else(|| self.reader.at(Pc(pc)))?;
        self.last = Some(listed);
        // SAFETY: listed code is alive while a reader is counted.
        let code = unsafe { &*listed.code };
        let offset = CodeOffset((return_address.0 - listed.start) as u32);
        let found = code.image.handlers.get(offset);
        Some(found.map(|(frame_size, catches)| Catches { frame_size, catches, base: listed.start }))
    }
}

/// The compiled code at `pc`, which must be in a frame of the current thread:
/// code that may still return there is not unloaded.
pub(crate) fn place_at(pc: Pc) -> Option<CodePlace> {
    with_code_at(pc, |code, offset| {
        // SAFETY: the code has a live frame, so somebody owns it through an
        // `Arc`, and this becomes a further owner.
        let code = unsafe {
            Arc::increment_strong_count(code);
            Arc::from_raw(code)
        };
        CodePlace { code, offset }
    })
}
