package control

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"serin"
)

func number(n int) string { return strconv.Itoa(n) }

// list returns all pages of a list that changes between pages.
func list(t *testing.T, items []int, size int32, change func([]int) []int) []int {
	t.Helper()
	var all []int
	var marker *string
	for pages := 0; ; pages++ {
		if pages > 1000 {
			t.Fatal("the list does not end")
		}
		page, next, err := paginate(items, marker, &size, number, byNumber)
		must(t, err)
		if len(page) > int(size) || next != nil && len(page) < int(size) {
			t.Fatalf("a page of %d items, asked for %d", len(page), size)
		}
		all = append(all, page...)
		if next == nil {
			return all
		}
		marker, items = next, change(items)
	}
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return cmp.Compare(x, y)
}

// Whatever comes and goes while a list is read page by page, what is there all the time is listed exactly once, and
// nothing is listed twice or out of order.
func TestPagingIsStable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var items, lasting []int
		for n := range random.IntN(60) {
			items = append(items, n)
			if n%3 == 0 {
				lasting = append(lasting, n)
			}
		}
		all := list(t, items, 1+random.Int32N(10), func(items []int) []int {
			var next []int
			for n := range 60 {
				there := slices.Contains(items, n)
				if random.IntN(2) == 0 && n%3 != 0 {
					there = !there
				}
				if there {
					next = append(next, n)
				}
			}
			return next
		})
		if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Fatalf("listed twice or out of order: %v", all)
		}
		for _, n := range lasting {
			if !slices.Contains(all, n) {
				t.Fatalf("%d is missing in %v", n, all)
			}
		}
	}
}

// A page has at most 50 entries, whatever is asked for, and the last page has no marker.
func TestPageSize(t *testing.T) {
	var items []int
	for n := range 101 {
		items = append(items, n)
	}
	for _, asked := range []*int32{nil, new(int32(50)), new(int32(10_000))} {
		page, next, err := paginate(items, nil, asked, number, byNumber)
		must(t, err)
		if len(page) != maxPage || next == nil {
			t.Errorf("the first page has %d entries and marker %v", len(page), next)
		}
	}
	page, next, err := paginate(items[:maxPage], nil, nil, number, byNumber)
	must(t, err)
	if len(page) != maxPage || next != nil {
		t.Errorf("a list of one full page has %d entries on it and another page", len(page))
	}
}

func TestPagesOfVersionsAreInTheirOrder(t *testing.T) {
	keys := []string{"$LATEST", "1", "2", "9", "10", "11", "100"}
	if !slices.IsSortedFunc(keys, compareVersions) {
		t.Errorf("compareVersions does not sort %v", keys)
	}
	var qualified []string
	for _, name := range []string{"a", "a-b", "a1"} {
		for _, key := range keys {
			qualified = append(qualified, name+":"+key)
		}
	}
	if !slices.IsSortedFunc(qualified, compareQualified) {
		t.Errorf("compareQualified does not sort %v", qualified)
	}
}

// A marker comes from outside: whatever it is, the answer is a page of the list or an error for the caller.
func FuzzMarker(f *testing.F) {
	f.Add("")
	f.Add("!")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("1")))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("99999999999999999999")))
	items := []string{"$LATEST", "1", "2", "3"}
	f.Fuzz(func(t *testing.T, marker string) {
		page, _, err := paginate(items, &marker, nil, func(s string) string { return s }, compareVersions)
		if err != nil {
			refused(t, fmt.Sprintf("marker %q", marker), err, serin.KindInvalid)
			return
		}
		if len(page) > len(items) || !slices.Equal(page, items[len(items)-len(page):]) {
			t.Errorf("marker %q gives %v", marker, page)
		}
	})
}
