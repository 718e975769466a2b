//! Instances: linking imports, first contents, exports.

use crate::host::HostFunc;
use crate::store::{StoreId, StoreOpaque};
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::vm::{
    FuncRef, FunctionImport, InstanceData, LinearMemory, TableStorage, TagData, Value,
};
use crate::{
    AsContext, AsContextMut, Backtrace, Engine, Error, Func, Global, LinkError, Memory, Module,
    SharedMemory, Table, Tag, Trap, call,
};
use std::ptr::NonNull;
use std::sync::Arc;
use wasmprof_image::abi::kind;
use wasmprof_module::{ExportKind, ExternType, FuncIndex, MemoryType, SegmentMode, TableType};

/// Something that can be imported or exported.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module (memory (export "m") 2) (func (export "f") (param i32)))"#;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// for (name, item) in instance.exports(&mut store) {
///     match item {
///         Extern::Func(func) => assert_eq!(func.ty(&store).params(), [ValType::I32]),
///         Extern::Memory(memory) => assert_eq!(memory.size(&store), 2),
///         _ => unreachable!("the module exports no {name}"),
///     }
/// }
/// let memory = instance.get_export(&mut store, "m").and_then(Extern::into_memory);
/// assert!(memory.is_some());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A memory that belongs to the store.
    Memory(Memory),
    /// A memory that other stores may have, too.
    SharedMemory(SharedMemory),
    /// A table.
    Table(Table),
    /// A global.
    Global(Global),
    /// A tag of exceptions.
    Tag(Tag),
}

macro_rules! extern_variants {
    ($($variant:ident $into:ident;)*) => {
        impl Extern {
            $(
                #[doc = concat!("The ", stringify!($variant), ", if it is one.")]
                pub fn $into(self) -> Option<$variant> {
                    if let Extern::$variant(item) = self { Some(item) } else { None }
                }
            )*
        }
        $(
            impl From<$variant> for Extern {
                fn from(item: $variant) -> Extern {
                    Extern::$variant(item)
                }
            }
        )*
    };
}

extern_variants! {
    Func into_func;
    Memory into_memory;
    SharedMemory into_shared_memory;
    Table into_table;
    Global into_global;
    Tag into_tag;
}

impl Extern {
    /// Its type. The minimum of a memory or table is its current size.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        match self {
            Extern::Func(func) => ExternType::Func(func.ty(store)),
            Extern::Memory(memory) => ExternType::Memory(memory.ty(store)),
            Extern::SharedMemory(memory) => ExternType::Memory(memory.ty()),
            Extern::Table(table) => ExternType::Table(table.ty(store)),
            Extern::Global(global) => ExternType::Global(global.ty(store)),
            Extern::Tag(tag) => ExternType::Tag(tag.ty(store)),
        }
    }

    /// The store that it is of; a shared memory is of none.
    pub(crate) fn store_id(&self) -> Option<StoreId> {
        Some(match self {
            Extern::Func(func) => func.store_id(),
            Extern::Memory(memory) => memory.store_id(),
            Extern::SharedMemory(_) => return None,
            Extern::Table(table) => table.store_id(),
            Extern::Global(global) => global.store_id(),
            Extern::Tag(tag) => tag.store_id(),
        })
    }

    pub(crate) fn of_instance(
        store: &mut StoreOpaque,
        instance: NonNull<InstanceData>,
        name: &str,
    ) -> Option<Extern> {
        // SAFETY: the store keeps its instances.
        let data = unsafe { instance.as_ref() };
        let kind = data.module.export(name)?;
        Some(export(store, data, kind))
    }
}

fn export(store: &StoreOpaque, data: &InstanceData, kind: ExportKind) -> Extern {
    match kind {
        ExportKind::Func(index) => {
            let slot = data.module.wasm().escape_slot(index).expect("exported functions have one");
            Extern::Func(Func::of(store, data.func_ref(slot)))
        }
        ExportKind::Memory(index) => {
            let storage = data.memories[index as usize];
            match data.memory(index).is_shared() {
                false => Extern::Memory(Memory::of(store, storage)),
                true => Extern::SharedMemory(store.shared_memory(storage)),
            }
        }
        ExportKind::Table(index) => Extern::Table(Table::of(store, data.tables[index as usize])),
        ExportKind::Global(index) => {
            let ty = data.module.wasm().globals[index as usize].ty;
            let value = NonNull::new(data.global(index)).expect("a global has a place");
            Extern::Global(Global::of(store, value, ty))
        }
        ExportKind::Tag(index) => Extern::Tag(Tag::of(store, data.tags[index as usize])),
    }
}

/// What is given for an import.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Extern(Extern),
    Host(Arc<HostFunc>),
}

/// An instance of a store: a module with memories, tables and globals, and with
/// everything that it imports.
///
/// All methods panic if they are given another store.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module
///     (import "host" "next" (func $next (result i32)))
///     (func (export "sum") (result i32) (i32.add (call $next) (call $next))))"#;
/// let module = Module::new(&engine, wat)?;
/// let mut store = Store::new(&engine, 20);
/// let next = Func::wrap(&mut store, |mut caller: Caller<'_, i32>| {
///     *caller.data_mut() += 1;
///     *caller.data()
/// })?;
/// // Imports in the order of the module; a `Linker` finds them by name.
/// let instance = Instance::new(&mut store, &module, &[next.into()])?;
/// let sum = instance.get_typed_func::<(), i32>(&mut store, "sum")?;
/// assert_eq!(sum.call(&mut store, ())?, 21 + 22);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    store: StoreId,
    data: NonNull<InstanceData>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Makes an instance with these imports, in the order of the module's, and
    /// calls its start function.
    ///
    /// # Errors
    ///
    /// If the imports do not fit, the store's limiter does not allow so much,
    /// the system does not give the memory, a segment is out of bounds, or the
    /// start function fails.
    ///
    /// # Panics
    ///
    /// If an import is something of another store.
    pub fn new(
        mut store: impl AsContextMut,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance, Error> {
        let given = imports.iter().cloned().map(Given::Extern).collect();
        Instance::link(store.as_context_mut().opaque(), module, given)
    }

    pub(crate) fn link(
        store: &mut StoreOpaque,
        module: &Module,
        given: Vec<Given>,
    ) -> Result<Instance, Error> {
        // How memories are laid out, and what code looks at, is set by the engine.
        if !Engine::same(module.engine(), &store.engine) {
            return Err(LinkError::OtherEngine.into());
        }
        let data = build(store, module, given)?;
        let instance = Instance { store: store.id, data };
        initialize(data)?;
        if let Some(start) = module.wasm().start {
            instance.call_start(store, start)?;
        }
        Ok(instance)
    }

    fn call_start(&self, store: &mut StoreOpaque, start: FuncIndex) -> Result<(), Error> {
        // SAFETY: the store keeps its instances.
        let Extern::Func(func) =
            export(store, unsafe { self.data.as_ref() }, ExportKind::Func(start))
        else {
            unreachable!("a function was asked for");
        };
        let function = func.func_ref(store);
        let entry = store.engine.stubs(function.type_id)?.entry;
        // SAFETY: the stub is the one for the type, which has no values.
        unsafe { call::enter(store, entry, function, std::ptr::null_mut()) }
    }

    fn get<'a>(&self, store: &'a StoreOpaque) -> &'a InstanceData {
        store.check(self.store);
        // SAFETY: the store keeps its instances and is borrowed as long.
        unsafe { self.data.as_ref() }
    }

    /// The module.
    pub fn module(&self, store: impl AsContext) -> Module {
        self.get(&store.as_context().inner.opaque).module.clone()
    }

    /// The export with this name.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        Extern::of_instance(store, self.data, name)
    }

    /// All exports with their names, in the order of the module.
    pub fn exports(&self, mut store: impl AsContextMut) -> Vec<(String, Extern)> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let data = self.get(store);
        let exports = data.module.wasm().exports.iter();
        exports.map(|e| (e.name.to_string(), export(store, data, e.kind))).collect()
    }

    /// The function exported under this name.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The memory exported under this name, if it is not shared.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The shared memory exported under this name.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// The table exported under this name.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The global exported under this name.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The tag exported under this name.
    pub fn get_tag(&self, store: impl AsContextMut, name: &str) -> Option<Tag> {
        self.get_export(store, name)?.into_tag()
    }

    /// The function exported under this name, with its type known to Rust.
    ///
    /// # Errors
    ///
    /// If there is none, or it has another type.
    pub fn get_typed_func<P: WasmParams, R: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>, Error> {
        let func = self
            .get_func(&mut store, name)
            .ok_or_else(|| LinkError::NoExport { name: name.to_owned(), wanted: "function" })?;
        func.typed(store)
    }
}

/// The imports, sorted by what they are.
#[derive(Default)]
struct Imports {
    functions: Vec<(FunctionImport, Source)>,
    tables: Vec<NonNull<TableStorage>>,
    memories: Vec<NonNull<LinearMemory>>,
    globals: Vec<NonNull<Value>>,
    tags: Vec<NonNull<TagData>>,
}

/// Where an imported function comes from.
enum Source {
    Func(Func),
    /// The position among those that the store keeps.
    Host(usize),
}

/// Makes an instance with everything in place but the first contents.
fn build(
    store: &mut StoreOpaque,
    module: &Module,
    given: Vec<Given>,
) -> Result<NonNull<InstanceData>, Error> {
    let wasm = module.wasm();
    store.allow_instance()?;
    let Imports { functions, mut tables, mut memories, globals, mut tags } =
        resolve(store, module, given)?;
    for table in &wasm.tables[tables.len()..] {
        store.allow_table(table.ty)?;
        tables.push(store.tables.add(TableStorage::new(table.ty)?));
    }
    let guarded = store.engine.guarded_memories();
    for ty in &wasm.memories[memories.len()..] {
        store.allow_memory(*ty)?;
        memories.push(match ty.shared {
            false => store.memories.add(LinearMemory::new(*ty, guarded)?),
            true => store.keep_shared(SharedMemory::new(&store.engine, *ty)?)?,
        });
    }
    let context = store.context();
    for ty in &wasm.tags[tags.len()..] {
        tags.push(store.tags.add(TagData { ty: *ty }));
    }
    let data =
        InstanceData::new(module.clone(), context, memories.into(), tables.into(), tags.into());
    let data = store.instances.add(data);
    // SAFETY: the store keeps its instances.
    let instance = unsafe { data.as_ref() };

    for (index, ty) in (0..).zip(&wasm.types) {
        instance.vmctx.write(module.layout().type_id(index), *ty);
    }
    for (index, global) in (0..).zip(globals) {
        instance.vmctx.write(module.layout().global_import(index), global.as_ptr());
    }
    for (index, (import, _)) in (0..).zip(&functions) {
        instance.set_import(index, *import);
    }
    for (slot, index) in (0..).zip(&wasm.escaping) {
        let reference = match functions.get(index.index()) {
            None => FuncRef {
                code: module.function_address(*index),
                vmctx: instance.vmctx.head() as usize,
                type_id: wasm.function_type_id(*index),
                kind: kind::WASM,
            },
            Some((_, Source::Host(at))) => {
                let host = store.host_funcs[*at].clone();
                Func::from_host(store, host, Some(instance.vmctx.head()))?.func_ref(store)
            }
            Some((_, Source::Func(func))) => func.func_ref(store),
        };
        // SAFETY: the slot is in the vmctx of the new instance.
        unsafe { *instance.func_ref(slot).as_ptr() = reference };
    }
    for (index, global) in (0..).zip(&wasm.globals) {
        if let Some(init) = &global.init {
            let value = instance.evaluate(init);
            // SAFETY: the place is in the vmctx of the new instance.
            unsafe { *instance.global(index) = value };
        }
    }
    for (mut storage, table) in instance.tables.iter().copied().zip(&wasm.tables) {
        if let Some(init) = &table.init {
            let value = instance.evaluate(init).word();
            // SAFETY: the store keeps its tables; this one is of the new
            // instance, for imported ones have no first value.
            unsafe { storage.as_mut() }.elements_mut().fill(value);
        }
    }
    Ok(data)
}

/// Checks what is given against what the module wants.
fn resolve(store: &mut StoreOpaque, module: &Module, given: Vec<Given>) -> Result<Imports, Error> {
    let wanted = &module.wasm().imports;
    if wanted.len() != given.len() {
        return Err(LinkError::ImportCount { wanted: wanted.len(), given: given.len() }.into());
    }
    let functions = module.wasm().imported_functions as usize;
    let mut imports = Imports { functions: Vec::with_capacity(functions), ..Imports::default() };
    store.host_funcs.reserve(functions);
    for (import, given) in wanted.iter().zip(given) {
        // Most imports are functions, whose types are compared by their numbers.
        let id = match &given {
            Given::Host(host) => Some(host.ty),
            Given::Extern(Extern::Func(func)) => Some(func.type_id(store)),
            Given::Extern(_) => None,
        };
        let same = matches!(import.ty, ExternType::Func(_)) && {
            let index = FuncIndex(imports.functions.len() as u32);
            id == Some(module.wasm().function_type_id(index))
        };
        if !same {
            let found = match &given {
                Given::Host(host) => ExternType::Func(host.ty.func_type().clone()),
                Given::Extern(item) => extern_type(store, item),
            };
            if !fits(&import.ty, &found) {
                return Err(LinkError::ImportType {
                    module: import.module.to_string(),
                    name: import.name.to_string(),
                    wanted: import.ty.clone(),
                    given: found,
                }
                .into());
            }
        }
        match given {
            Given::Host(host) => {
                let code = match host.code {
                    Some(code) => code,
                    None => store.engine.stubs(host.ty)?.dynamic_host,
                };
                let import = FunctionImport {
                    code,
                    environment: host.environment,
                    kind: u64::from(kind::HOST),
                };
                imports.functions.push((import, Source::Host(store.host_funcs.len())));
                store.host_funcs.push(host);
            }
            Given::Extern(Extern::Func(func)) => {
                // SAFETY: the function belongs to this store.
                let import = unsafe { func.func_ref(store).as_import() };
                imports.functions.push((import, Source::Func(func)));
            }
            Given::Extern(Extern::Table(table)) => imports.tables.push(table.storage(store)),
            Given::Extern(Extern::Memory(memory)) => imports.memories.push(memory.storage(store)),
            Given::Extern(Extern::SharedMemory(memory)) => {
                imports.memories.push(store.keep_shared(memory)?);
            }
            Given::Extern(Extern::Global(global)) => imports.globals.push(global.place(store)),
            Given::Extern(Extern::Tag(tag)) => imports.tags.push(tag.data(store)),
        }
    }
    Ok(imports)
}

fn extern_type(store: &StoreOpaque, item: &Extern) -> ExternType {
    match item {
        Extern::Func(func) => ExternType::Func(func.type_id(store).func_type().clone()),
        Extern::Table(table) => ExternType::Table(table.current_type(store)),
        Extern::Memory(memory) => ExternType::Memory(memory.current_type(store)),
        Extern::SharedMemory(memory) => ExternType::Memory(memory.ty()),
        Extern::Global(global) => ExternType::Global(global.declared_type(store)),
        Extern::Tag(tag) => ExternType::Tag(tag.type_id(store).func_type().clone()),
    }
}

/// Whether an import of type `wanted` takes something of type `given`
/// (specification, "Matching", external types): sizes may be larger at the
/// start, limits tighter, and the type of a constant narrower.
fn fits(wanted: &ExternType, given: &ExternType) -> bool {
    let within = |minimum: [u64; 2], maximum: [Option<u64>; 2]| {
        minimum[1] >= minimum[0]
            && match maximum {
                [None, _] => true,
                [Some(wanted), Some(given)] => given <= wanted,
                [Some(_), None] => false,
            }
    };
    match (wanted, given) {
        (ExternType::Func(wanted), ExternType::Func(given)) => wanted == given,
        (ExternType::Tag(wanted), ExternType::Tag(given)) => wanted == given,
        (ExternType::Global(wanted), ExternType::Global(given)) => {
            wanted == given
                || !wanted.mutable && !given.mutable && given.content.matches(wanted.content)
        }
        (ExternType::Memory(wanted), ExternType::Memory(given)) => {
            let MemoryType { minimum, maximum, index, shared, page_size_log2 } = *wanted;
            index == given.index
                && shared == given.shared
                && page_size_log2 == given.page_size_log2
                && within([minimum, given.minimum], [maximum, given.maximum])
        }
        (ExternType::Table(wanted), ExternType::Table(given)) => {
            let TableType { element, minimum, maximum, index } = *wanted;
            index == given.index
                && element == given.element
                && within([minimum, given.minimum], [maximum, given.maximum])
        }
        _ => false,
    }
}

/// Copies the active segments, in the order that the specification gives.
fn initialize(mut instance: NonNull<InstanceData>) -> Result<(), Error> {
    // SAFETY: the instance is new, and only this uses it.
    let instance = unsafe { instance.as_mut() };
    let module = instance.module.clone();
    let wasm = module.wasm();
    let trap = |code| Error::Trap(Trap { code, backtrace: Backtrace::default() });
    for (index, segment) in (0..).zip(&wasm.elements) {
        if let SegmentMode::Active { target, offset } = &segment.mode {
            let ty = &wasm.tables[*target as usize].ty;
            let at = ty.index.index(instance.evaluate(offset).word());
            let len = segment.items.len() as u64;
            instance.table_init(*target, index, at, 0, len).map_err(trap)?;
        }
        if segment.mode != SegmentMode::Passive {
            instance.elem_drop(index);
        }
    }
    if let Some(images) = module.memory_images() {
        let first = wasm.imported_memories;
        for (index, image) in (first..).zip(images) {
            if let Some(image) = image {
                // SAFETY: there are images only for memories of the instance's
                // own, which are as new as it is.
                unsafe { instance.memory(index).map_image(image)? };
            }
        }
    }
    for (index, segment) in (0..).zip(&wasm.data) {
        if let SegmentMode::Active { target, offset } = &segment.mode {
            if module.memory_images().is_none() {
                let ty = &wasm.memories[*target as usize];
                let at = ty.index.index(instance.evaluate(offset).word());
                let len = wasm.data_bytes(segment).len() as u64;
                instance.memory_init(*target, index, at, 0, len).map_err(trap)?;
            }
            instance.data_drop(index);
        }
    }
    Ok(())
}
