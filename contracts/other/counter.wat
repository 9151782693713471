;; The counter of counter.py, written by hand. Its interface is counter.json.
;;
;; Memory, all of it static:
;;   0  the key of `counted`: byte 0, its position in the interface
;;   8  the key of `counts`: byte 1, then the owner's address, 20 bytes
;;  32  a number that is read or written, 8 bytes
;;  40  the event's name
;;  48  the event's fields: by, 20 bytes; amount, 8 bytes; total, 8 bytes
;;  88  the packed arguments, at most 20 bytes
(module
  (import "iov1" "input" (func $input (param i32)))
  (import "iov1" "register_read" (func $register_read (param i32 i32)))
  (import "iov1" "return_value" (func $return_value (param i32 i32)))
  (import "iov1" "revert" (func $revert (param i32 i32 i32)))
  (import "iov1" "storage_get" (func $storage_get (param i32 i32 i32) (result i32)))
  (import "iov1" "storage_put" (func $storage_put (param i32 i32 i32 i32)))
  (import "iov1" "caller" (func $caller (param i32)))
  (import "iov1" "emit" (func $emit (param i32 i32 i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 8) "\01")
  (data (i32.const 40) "Added")

  (func (export "create")
    (call $put (i32.const 0) (i32.const 1) (i64.const 0)))

  (func (export "add") (local $amount i64) (local $total i64)
    (call $read_arguments)
    (local.set $amount (i64.load (i32.const 88)))
    (if (i64.eqz (local.get $amount))
      (then (call $revert (i32.const 1) (i32.const 0) (i32.const 0))))
    (local.set $total (call $add_checked (call $get (i32.const 0) (i32.const 1)) (local.get $amount)))
    (call $put (i32.const 0) (i32.const 1) (local.get $total))
    (call $caller (i32.const 9))
    (call $put (i32.const 8) (i32.const 21)
      (call $add_checked (call $get (i32.const 8) (i32.const 21)) (local.get $amount)))
    (call $caller (i32.const 48))
    (i64.store (i32.const 68) (local.get $amount))
    (i64.store (i32.const 76) (local.get $total))
    (call $emit (i32.const 40) (i32.const 5) (i32.const 48) (i32.const 36))
    (call $answer (local.get $total)))

  (func (export "total")
    (call $answer (call $get (i32.const 0) (i32.const 1))))

  (func (export "count_of")
    (call $read_arguments)
    (i64.store (i32.const 9) (i64.load (i32.const 88)))
    (i64.store (i32.const 17) (i64.load (i32.const 96)))
    (i32.store (i32.const 25) (i32.load (i32.const 104)))
    (call $answer (call $get (i32.const 8) (i32.const 21))))

  (func $read_arguments
    (call $input (i32.const 0))
    (call $register_read (i32.const 0) (i32.const 88)))

  ;; The stored number, 0 if there is none.
  (func $get (param $key i32) (param $key_bytes i32) (result i64)
    (if (i32.eqz (call $storage_get (local.get $key) (local.get $key_bytes) (i32.const 1)))
      (then (return (i64.const 0))))
    (call $register_read (i32.const 1) (i32.const 32))
    (i64.load (i32.const 32)))

  (func $put (param $key i32) (param $key_bytes i32) (param $value i64)
    (i64.store (i32.const 32) (local.get $value))
    (call $storage_put (local.get $key) (local.get $key_bytes) (i32.const 32) (i32.const 8)))

  ;; The sum; fails with 65001, as compiled Python does, when it is too large.
  (func $add_checked (param $a i64) (param $b i64) (result i64) (local $sum i64)
    (local.set $sum (i64.add (local.get $a) (local.get $b)))
    (if (i64.lt_u (local.get $sum) (local.get $a))
      (then (call $revert (i32.const 65001) (i32.const 0) (i32.const 0))))
    (local.get $sum))

  (func $answer (param $value i64)
    (i64.store (i32.const 32) (local.get $value))
    (call $return_value (i32.const 32) (i32.const 8))))
