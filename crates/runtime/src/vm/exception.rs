//! Exceptions in memory, and which of them can still be reached.
//!
//! A reference to an exception is its address. References may be anywhere that
//! compiled code keeps values, and nothing counts them. Now and then, when many
//! exceptions have been made, those that nothing points to are freed: words on
//! the stack that happen to have the address of one keep it too, which costs
//! some memory and needs no help from the compiler.

use super::Value;
use std::alloc::Layout;
use std::ptr::NonNull;
use wasmprof_image::abi;
use wasmprof_module::{HeapType, TypeId, ValType};

/// What stands for a tag: its address is its identity.
#[derive(Debug)]
pub(crate) struct TagData {
    /// The parameters are what exceptions with the tag carry.
    pub(crate) ty: TypeId,
}

/// An exception: this head, and behind it the values that it carries.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct ExceptionData {
    pub(crate) tag: NonNull<TagData>,
    count: usize,
}

const _: () = assert!(size_of::<ExceptionData>() as u32 == abi::exception::VALUES);

impl ExceptionData {
    fn layout(count: usize) -> Layout {
        let size = size_of::<ExceptionData>() + count * size_of::<Value>();
        Layout::from_size_align(size, 16).expect("an exception carries at most 1000 values")
    }

    /// An exception whose values are zero.
    fn allocate(tag: NonNull<TagData>, count: usize) -> NonNull<ExceptionData> {
        let layout = ExceptionData::layout(count);
        // SAFETY: the layout has the size of the head at least.
        let data = unsafe { std::alloc::alloc(layout) }.cast::<ExceptionData>();
        let Some(data) = NonNull::new(data) else { std::alloc::handle_alloc_error(layout) };
        // SAFETY: new, and large enough. To ask for zeros would take longer: the
        // allocator does not use what it has at hand for that.
        unsafe {
            data.add(1).cast::<Value>().write_bytes(0, count);
            data.write(ExceptionData { tag, count });
        }
        data
    }

    /// The values of an exception.
    ///
    /// # Safety
    ///
    /// It must be alive, and nothing else use its values meanwhile.
    pub(crate) unsafe fn values<'a>(this: NonNull<ExceptionData>) -> &'a mut [Value] {
        // SAFETY: the values are right behind the head, see `allocate`.
        unsafe { std::slice::from_raw_parts_mut(this.add(1).cast().as_ptr(), this.as_ref().count) }
    }
}

/// The exceptions of a store.
#[derive(Debug)]
pub(crate) struct Exceptions {
    all: Vec<NonNull<ExceptionData>>,
    /// What all of them take.
    bytes: usize,
    /// How many there may be, and how much they may take, before those that
    /// nothing points to are freed.
    enough: usize,
    enough_bytes: usize,
}

impl Exceptions {
    /// Fewer than this are not worth looking for.
    const FEW: usize = 256;
    const FEW_BYTES: usize = 1 << 20;

    pub(crate) fn new() -> Exceptions {
        let (enough, enough_bytes) = (Exceptions::FEW, Exceptions::FEW_BYTES);
        Exceptions { all: Vec::new(), bytes: 0, enough, enough_bytes }
    }

    /// What all of them take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether [`collect`](Exceptions::collect) should be called before the
    /// next one is made.
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= self.enough || self.bytes >= self.enough_bytes
    }

    /// An exception with a tag, whose values are zero.
    pub(crate) fn add(&mut self, tag: NonNull<TagData>) -> NonNull<ExceptionData> {
        // SAFETY: the store keeps its tags.
        let count = unsafe { tag.as_ref() }.ty.func_type().params().len();
        let exception = ExceptionData::allocate(tag, count);
        self.bytes += ExceptionData::layout(count).size();
        self.all.push(exception);
        exception
    }

    /// Frees the exceptions that no word among the `roots` points to, nor an
    /// exception that is kept. `limit` is how many bytes they may take
    /// altogether: when they take so much, they are full again.
    ///
    /// # Safety
    ///
    /// The roots must have every reference that is still used.
    pub(crate) unsafe fn collect(&mut self, roots: impl IntoIterator<Item = usize>, limit: usize) {
        self.all.sort_unstable();
        let mut kept = vec![false; self.all.len()];
        let mut pending = Vec::new();
        let all = &self.all;
        let mut keep = |word: usize, pending: &mut Vec<NonNull<ExceptionData>>| {
            if let Ok(at) = all.binary_search_by_key(&word, |it| it.as_ptr() as usize)
                && !std::mem::replace(&mut kept[at], true)
            {
                pending.push(all[at]);
            }
        };
        let mut words = 0;
        for word in roots {
            words += 1;
            keep(word, &mut pending);
        }
        while let Some(exception) = pending.pop() {
            // SAFETY: none has been freed yet.
            let (values, ty) =
                unsafe { (ExceptionData::values(exception), exception.as_ref().tag.as_ref().ty) };
            for (value, ty) in values.iter().zip(ty.func_type().params()) {
                if is_exception(*ty) {
                    keep(value.word() as usize, &mut pending);
                }
            }
        }
        let mut kept = kept.into_iter();
        let bytes = &mut self.bytes;
        self.all.retain(|exception| {
            let keep = kept.next() == Some(true);
            if !keep {
                // SAFETY: it is freed below.
                *bytes -= ExceptionData::layout(unsafe { exception.as_ref() }.count).size();
                // SAFETY: nothing points to it, and it leaves the list.
                unsafe { free(*exception) };
            }
            keep
        });
        // Looking at many words is worth it only for many exceptions.
        self.enough = (2 * self.all.len()).max(Exceptions::FEW).max(words / 16);
        self.enough_bytes = (2 * self.bytes).max(Exceptions::FEW_BYTES).min(limit);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.all.len()
    }
}

impl Drop for Exceptions {
    fn drop(&mut self) {
        for exception in self.all.drain(..) {
            // SAFETY: the store goes, and all references with it.
            unsafe { free(exception) };
        }
    }
}

/// Frees an exception.
///
/// # Safety
///
/// Nothing may use it any more.
unsafe fn free(exception: NonNull<ExceptionData>) {
    // SAFETY: allocated with this layout.
    unsafe {
        let layout = ExceptionData::layout(exception.as_ref().count);
        std::alloc::dealloc(exception.cast().as_ptr(), layout);
    }
}

/// Whether values of this type are references to exceptions.
pub(crate) fn is_exception(ty: ValType) -> bool {
    matches!(ty, ValType::Ref(ty) if matches!(ty.heap, HeapType::Exn | HeapType::NoExn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmprof_module::FuncType;

    #[test]
    fn what_is_reached_through_another_exception_is_kept() {
        let ty = TypeId::of(&FuncType::new([ValType::I32, ValType::EXNREF], []));
        let mut tag = TagData { ty };
        let tag = NonNull::from(&mut tag);
        let mut exceptions = Exceptions::new();
        let [inner, outer, lost] = [(); 3].map(|()| exceptions.add(tag));
        // SAFETY: all are alive; the integer is no reference, whatever its bits.
        unsafe {
            ExceptionData::values(outer)[1] = Value::from_word(inner.as_ptr() as u64);
            ExceptionData::values(outer)[0] = Value::from_word(lost.as_ptr() as u64);
            exceptions.collect([outer.as_ptr() as usize, 7, 0], usize::MAX);
            assert_eq!(exceptions.len(), 2);
            assert_eq!(ExceptionData::values(inner).len(), 2);
            exceptions.collect([], usize::MAX);
            assert_eq!(exceptions.bytes(), 0);
        }
        assert_eq!(exceptions.len(), 0);
    }
}
