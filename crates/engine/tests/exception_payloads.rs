//! Exceptions with payloads of each type: from the host into WebAssembly, out of
//! it, through host functions in between, and around again by reference.

use wasmprof_engine::*;

const WAT: &str = r#"(module
    (tag $e (import "" "e") (param i32 i64 f32 f64 v128 funcref externref exnref))
    (tag $one (import "" "one") (param i32))
    (import "" "throw" (func $throw))
    (import "" "through" (func $through (param i32)))
    (func (export "f") (result i32) (i32.const 7))

    (func $throws (export "throws") (call $throw))
    ;; Takes it apart and throws it anew.
    (func $anew (export "anew")
        (block $h (result i32 i64 f32 f64 v128 funcref externref exnref)
            (try_table (catch $e $h) (call $throw))
            (return))
        (throw $e))
    ;; As it is, by reference.
    (func $same (export "same")
        (block $h (result exnref)
            (try_table (catch_all_ref $h) (call $throw))
            (return))
        (throw_ref))
    ;; By a host function that calls back, and passes the error on.
    (func (export "through") (param i32)
        (block $h (result i32 i64 f32 f64 v128 funcref externref exnref)
            (try_table (catch $e $h) (call $through (local.get 0)))
            (return))
        (throw $e))
    ;; What the reference in the payload has.
    (func (export "inner") (result i32)
        (block $one (result i32)
            (block $h (result i32 i64 f32 f64 v128 funcref externref exnref)
                (try_table (catch $e $h) (call $throw))
                (return (i32.const -1)))
            (try_table (param exnref) (catch $one $one) (throw_ref))
            (unreachable)))
    (func (export "one") (param i32) (throw $one (local.get 0))))"#;

fn configs() -> [Config; 2] {
    [Config::new(), Config::new().strategy(Strategy::Fast).native_features(false)]
}

struct Setting {
    store: Store<Option<Instance>>,
    instance: Instance,
    tag: Tag,
    text: ExternRef,
    inner: ExnRef,
}

fn setting(config: Config) -> Setting {
    let engine = Engine::new(config).expect("an engine");
    let module = Module::new(&engine, WAT).expect("valid");
    let mut store = Store::new(&engine, None);
    let params = [
        ValType::I32,
        ValType::I64,
        ValType::F32,
        ValType::F64,
        ValType::V128,
        Val::FuncRef(None).ty(),
        Val::ExternRef(None).ty(),
        Val::ExnRef(None).ty(),
    ];
    let tag = Tag::new(&mut store, &FuncType::new(params, []));
    let one = Tag::new(&mut store, &FuncType::new([ValType::I32], []));
    let text = ExternRef::new(&mut store, String::from("text"));
    let inner = Exception::new(&mut store, one, [Val::I32(99)]).expect("it fits");
    let inner = ExnRef::new(&mut store, inner).expect("room");

    let mut linker: Linker<Option<Instance>> = Linker::new(&engine);
    linker.define(&mut store, "", "e", tag).expect("a new name");
    linker.define(&mut store, "", "one", one).expect("a new name");
    linker
        .func_wrap("", "throw", move |mut caller: Caller<'_, Option<Instance>>| {
            let f = caller.get_export("f").and_then(Extern::into_func).expect("exported");
            let values = [
                Val::I32(i32::MIN),
                Val::I64(i64::MAX),
                Val::F32(0x7fa0_0001),
                Val::F64(0xfff4_0000_0000_0001),
                Val::from(V128::from([1u64, !1])),
                Val::FuncRef(Some(f)),
                Val::ExternRef(Some(text)),
                Val::ExnRef(Some(inner)),
            ];
            Err::<(), _>(Exception::new(&mut caller, tag, values).expect("they fit"))
        })
        .expect("a new name");
    linker
        .func_wrap("", "through", |mut caller: Caller<'_, Option<Instance>>, depth: i32| {
            let name = ["throws", "anew", "same"][depth as usize % 3];
            if depth < 3 {
                let func = caller.get_export(name).and_then(Extern::into_func).expect("exported");
                return func.typed::<(), ()>(&caller)?.call(&mut caller, ());
            }
            let func = caller.get_export("through").and_then(Extern::into_func).expect("exported");
            func.typed::<i32, ()>(&caller)?.call(&mut caller, depth - 3)
        })
        .expect("a new name");
    let instance = linker.instantiate(&mut store, &module).expect("linked");
    Setting { store, instance, tag, text, inner }
}

impl Setting {
    fn check(&mut self, result: Result<(), Error>) {
        let Err(Error::Exception(exception)) = result else { panic!("{result:?}") };
        assert_eq!(exception.tag(), self.tag);
        let values = exception.values();
        assert_eq!(values.len(), 8);
        assert_eq!(values[0].i32(), Some(i32::MIN));
        assert_eq!(values[1].i64(), Some(i64::MAX));
        assert!(matches!(values[2], Val::F32(0x7fa0_0001)), "{values:?}");
        assert!(matches!(values[3], Val::F64(0xfff4_0000_0000_0001)), "{values:?}");
        assert_eq!(values[4].v128(), Some(V128::from([1u64, !1])));
        let Val::FuncRef(Some(f)) = values[5] else { panic!("{values:?}") };
        let f = f.typed::<(), i32>(&self.store).expect("of this type");
        assert_eq!(f.call(&mut self.store, ()).expect("no trap"), 7);
        let Val::ExternRef(Some(text)) = values[6] else { panic!("{values:?}") };
        assert_eq!(text, self.text);
        assert_eq!(text.data(&self.store).downcast_ref::<String>().expect("a text"), "text");
        let Val::ExnRef(Some(inner)) = values[7] else { panic!("{values:?}") };
        assert_eq!(inner, self.inner);
        assert_eq!(inner.values(&mut self.store)[0].i32(), Some(99));
    }
}

#[test]
fn payloads_arrive_on_every_way() {
    for config in configs() {
        let mut setting = setting(config);
        for name in ["throws", "anew", "same"] {
            let func = setting.instance.get_typed_func::<(), ()>(&mut setting.store, name);
            let func = func.expect("exported");
            for _ in 0..3 {
                let result = func.call(&mut setting.store, ());
                setting.check(result);
            }
        }
        let through = setting.instance.get_typed_func::<i32, ()>(&mut setting.store, "through");
        let through = through.expect("exported");
        for depth in 0..40 {
            let result = through.call(&mut setting.store, depth);
            setting.check(result);
        }
        let inner = setting.instance.get_typed_func::<(), i32>(&mut setting.store, "inner");
        assert_eq!(inner.expect("exported").call(&mut setting.store, ()).expect("no trap"), 99);
    }
}

/// What an exception carries is used after it has come out, with many others
/// made in between.
#[test]
fn payloads_are_kept_by_whoever_has_the_exception() {
    for config in configs() {
        let mut setting = setting(config);
        let anew = setting.instance.get_typed_func::<(), ()>(&mut setting.store, "anew");
        let anew = anew.expect("exported");
        let one = setting.instance.get_typed_func::<i32, ()>(&mut setting.store, "one");
        let one = one.expect("exported");
        let kept = anew.call(&mut setting.store, ());
        for n in 0..20_000 {
            let Err(Error::Exception(exception)) = one.call(&mut setting.store, n) else {
                panic!("{n}");
            };
            assert_eq!(exception.values()[0].i32(), Some(n));
        }
        setting.check(kept);
    }
}
