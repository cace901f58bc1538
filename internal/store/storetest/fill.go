package storetest

import (
	"fmt"
	"reflect"
	"time"

	"slipway/internal/ref"
)

// filler gives every field below a value another value, so that a field that
// is not kept, or kept under a name that another one uses too, is seen.
type filler struct{ n int64 }

// filled is a T with nothing zero in it.
func filled[T any](from int64) T {
	var v T
	(&filler{n: from}).fill(reflect.ValueOf(&v).Elem())
	return v
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.UnixMicro(1_780_000_000_000_000 + f.n).UTC()
	case *ref.SHA:
		*p = sha(fmt.Sprint(f.n))
	case *ref.Digest:
		*p = f.digest()
	case *ref.Pin:
		*p = ref.Pin{Repository: fmt.Sprintf("registry.test/acme/app%d", f.n), Tag: ref.Tag(fmt.Sprintf("v%d", f.n)), Digest: f.digest()}
	case *ref.Fact:
		*p = ref.Known(f.n%2 == 0)
	default:
		f.fillKind(v)
	}
}

func (f *filler) fillKind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n)) //nolint:gosec // counts up from a small number
	case reflect.String:
		v.SetString(fmt.Sprintf("x%d", f.n)) // also a valid owner, name or branch
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic(fmt.Sprintf("cannot fill a %s: teach the filler", v.Type()))
	}
}

func (f *filler) digest() ref.Digest {
	return ref.Digest("sha256:" + string(snapshot(fmt.Sprint(f.n)).Hash))
}
