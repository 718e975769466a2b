//! Names for things to import, and instances made by them.

use crate::host::{HostFunc, IntoFunc};
use crate::instance::Given;
use crate::store::{StoreId, StoreOpaque};
use crate::{AsContextMut, Caller, Engine, Error, Extern, Func, Instance, LinkError, Module, Val};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use wasmprof_module::FuncType;

/// Names for things to import. Host functions and shared memories in it work in
/// any store of a `T`; other things belong to the store that they come from.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let mut linker = Linker::new(&engine);
/// linker.func_wrap("host", "log", |mut caller: Caller<'_, Vec<i32>>, x: i32| {
///     caller.data_mut().push(x);
/// })?;
///
/// // One linker, many stores.
/// let library = Module::new(&engine, r#"(module (func (export "seven") (result i32) (i32.const 7)))"#)?;
/// let program = Module::new(&engine, r#"(module
///     (import "library" "seven" (func $seven (result i32)))
///     (import "host" "log" (func $log (param i32)))
///     (func (export "run") (call $log (call $seven))))"#)?;
/// for _ in 0..2 {
///     let mut store = Store::new(&engine, Vec::new());
///     let mut linker = linker.clone();
///     let library = linker.instantiate(&mut store, &library)?;
///     linker.instance(&mut store, "library", library)?;
///     let program = linker.instantiate(&mut store, &program)?;
///     program.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
///     assert_eq!(store.into_data(), [7]);
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct Linker<T> {
    engine: Engine,
    definitions: HashMap<Arc<str>, HashMap<Arc<str>, Definition>>,
    shadowing: bool,
    /// Host functions rely on exactly this type of data.
    data: PhantomData<fn(T) -> T>,
}

#[derive(Clone)]
enum Definition {
    /// Something of a store; shared memories are of none.
    Extern(Option<StoreId>, Extern),
    Host(Arc<HostFunc>),
}

impl Definition {
    fn give(&self, store: &StoreOpaque) -> Given {
        match self {
            Definition::Host(host) => Given::Host(host.clone()),
            Definition::Extern(id, item) => {
                if let Some(id) = id {
                    store.check(*id);
                }
                Given::Extern(item.clone())
            }
        }
    }
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            definitions: self.definitions.clone(),
            shadowing: self.shadowing,
            data: PhantomData,
        }
    }
}

impl<T> Linker<T> {
    /// A linker without names.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            definitions: HashMap::new(),
            shadowing: false,
            data: PhantomData,
        }
    }

    /// The engine that the linker was made for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again; the last definition counts.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.shadowing = allow;
        self
    }

    fn insert(
        &mut self,
        module: &str,
        name: &str,
        definition: Definition,
    ) -> Result<&mut Self, Error> {
        let names = self.definitions.entry(module.into()).or_default();
        if !self.shadowing && names.contains_key(name) {
            let (module, name) = (module.to_owned(), name.to_owned());
            return Err(LinkError::AlreadyDefined { module, name }.into());
        }
        names.insert(name.into(), definition);
        Ok(self)
    }

    /// Names a host function; see [`Func::wrap`].
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub fn func_wrap<P, R>(
        &mut self,
        module: &str,
        name: &str,
        closure: impl IntoFunc<T, P, R>,
    ) -> Result<&mut Self, Error> {
        self.insert(module, name, Definition::Host(closure.into_host_func()))
    }

    /// Names a host function of any type; see [`Func::new`].
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        closure: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<&mut Self, Error>
    where
        T: 'static,
    {
        let host = Arc::new(HostFunc::dynamic(ty, closure));
        self.insert(module, name, Definition::Host(host))
    }

    /// Names something of a store, or a shared memory.
    ///
    /// # Errors
    ///
    /// If the name is taken.
    ///
    /// # Panics
    ///
    /// If it is something of another store.
    pub fn define(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self, Error> {
        let mut store = store.as_context_mut();
        let (store, item) = (store.opaque(), item.into());
        let id = item.store_id();
        if let Some(id) = id {
            store.check(id);
        }
        self.insert(module, name, Definition::Extern(id, item))
    }

    /// Names all exports of an instance, with `module` as the first part.
    ///
    /// # Errors
    ///
    /// If one of the names is taken.
    ///
    /// # Panics
    ///
    /// If the instance is of another store.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self, Error> {
        for (name, item) in instance.exports(&mut store) {
            self.define(&mut store, module, &name, item)?;
        }
        Ok(self)
    }

    /// Gives all names of one module to another, too.
    ///
    /// # Errors
    ///
    /// If one of the names is taken.
    pub fn alias_module(&mut self, from: &str, to: &str) -> Result<&mut Self, Error> {
        for (name, definition) in self.definitions.get(from).cloned().unwrap_or_default() {
            self.insert(to, &name, definition)?;
        }
        Ok(self)
    }

    /// What a name stands for in a store.
    ///
    /// # Panics
    ///
    /// If it stands for something of another store.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        match self.find(store, module, name)? {
            Given::Extern(item) => Some(item),
            Given::Host(host) => Func::from_host(store, host, None).ok().map(Extern::Func),
        }
    }

    fn find(&self, store: &StoreOpaque, module: &str, name: &str) -> Option<Given> {
        Some(self.definitions.get(module)?.get(name)?.give(store))
    }

    /// The names of a module, sorted; for suggestions.
    pub fn names(&self, module: &str) -> Vec<&str> {
        let names = self.definitions.get(module).into_iter().flat_map(HashMap::keys);
        let mut names: Vec<&str> = names.map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Makes an instance whose imports are found by name, and calls its start
    /// function.
    ///
    /// # Errors
    ///
    /// If a name is missing or stands for something of another type, or the
    /// linker was made for another engine than the store; and as
    /// [`Instance::new`].
    ///
    /// # Panics
    ///
    /// If a name stands for something of another store, and as
    /// [`Instance::new`].
    pub fn instantiate(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if !Engine::same(&self.engine, &store.engine) {
            return Err(LinkError::OtherEnginesLinker.into());
        }
        let mut given = Vec::with_capacity(module.imports().len());
        // Imports of one module mostly follow each other.
        let mut last = None;
        for import in module.imports() {
            let names = match last {
                Some((module, names)) if module == import.module() => Some(names),
                _ => self.definitions.get(import.module()),
            };
            last = names.map(|names| (import.module(), names));
            let definition = names.and_then(|names| names.get(import.name()));
            let found = definition.map(|definition| definition.give(store));
            given.push(found.ok_or_else(|| LinkError::MissingImport {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
                wanted: import.ty().clone(),
            })?);
        }
        Instance::link(store, module, given)
    }
}

impl<T> fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linker").field("modules", &self.definitions.keys()).finish_non_exhaustive()
    }
}
