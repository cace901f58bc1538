package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// documentSchema numbers the shape of the JSON documents. It is raised when an
// old document can no longer be read by the present types alone.
const documentSchema = 1

// document is a value as it is kept.
type document struct {
	schema int64
	text   string
}

// encode brings v into the form that is kept. Its times become UTC at
// microseconds, so that every store gives back the same value.
func encode[T any](v T) (document, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return document{}, err
	}
	var kept T
	if err := json.Unmarshal(raw, &kept); err != nil {
		return document{}, err
	}
	settle(reflect.ValueOf(&kept))
	raw, err = json.Marshal(kept)
	if err != nil {
		return document{}, err
	}
	return document{schema: documentSchema, text: string(raw)}, nil
}

// decode reads what encode made.
func decode[T any](d document) (T, error) {
	var v T
	if d.schema > documentSchema {
		return v, fmt.Errorf("its document has schema %d, this slipway knows up to %d: use the newer slipway", d.schema, documentSchema)
	}
	if err := json.Unmarshal([]byte(d.text), &v); err != nil {
		return v, fmt.Errorf("its document cannot be read: %w", err)
	}
	return v, nil
}

// settle rewrites every time below v. The value must be the caller's own.
func settle(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			settle(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			settle(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			settle(e)
			v.SetMapIndex(k, e)
		}
	case reflect.Struct:
		if t, ok := v.Addr().Interface().(*time.Time); ok {
			*t = t.UTC().Truncate(time.Microsecond)
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				settle(v.Field(i))
			}
		}
	}
}

// micros is a time as the columns hold it.
func micros(t time.Time) int64 { return t.UnixMicro() }

// moment is the time that a column holds.
func moment(us int64) time.Time { return time.UnixMicro(us).UTC() }
