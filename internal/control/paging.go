package control

import (
	"encoding/base64"
	"slices"

	"serin"
)

// maxPage is the most entries that one page of a list holds, whatever the caller asks for.
const maxPage = 50

// paginate returns the page of items that follows the marker, and the marker of the next page or nil. Items
// are sorted by their keys in the order of compare. The marker holds the key of the last item of the page
// before, so that a list stays complete while items come and go.
func paginate[T any](items []T, marker *string, maxItems *int32, key func(T) string, compare func(a, b string) int) ([]T, *string, error) {
	if deref(marker) != "" {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil {
			return nil, nil, serin.Errorf(serin.KindInvalid, "The marker is not one that this server gave.")
		}
		i, found := slices.BinarySearchFunc(items, string(after), func(item T, k string) int { return compare(key(item), k) })
		if found {
			i++
		}
		items = items[i:]
	}
	size := maxPage
	if maxItems != nil {
		size = min(size, int(*maxItems))
	}
	if len(items) <= size {
		return items, nil, nil
	}
	items = items[:size]
	return items, new(base64.RawURLEncoding.EncodeToString([]byte(key(items[size-1])))), nil
}
