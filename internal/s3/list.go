package s3

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/rclone/gofakes3"
)

// ListBucket returns a page of the keys of a bucket. A key that has the delimiter after the prefix counts, with all that begin alike, as
// one common prefix.
func (s *Service) ListBucket(ctx context.Context, bucketName string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	list := gofakes3.NewObjectList()
	group := ""
	last := ""
	count := int64(0)
	err := s.keys(ctx, bucketName, prefix, func(key string, o *object) bool {
		v := o.find("")
		if v.Deleted || page.HasMarker && key <= page.Marker || group != "" && strings.HasPrefix(key, group) {
			return true
		}
		common := commonPrefix(prefix, key)
		if common != "" && page.HasMarker && (common == page.Marker || strings.HasPrefix(page.Marker, common)) {
			return true
		}
		if page.MaxKeys > 0 && count == page.MaxKeys {
			list.IsTruncated, list.NextMarker = true, last
			return false
		}
		count++
		if common != "" {
			group, last = common, common
			list.AddPrefix(common)
			return true
		}
		last = key
		list.Add(&gofakes3.Content{
			Key: key, LastModified: gofakes3.NewContentTime(v.Modified), ETag: strconv.Quote(hex.EncodeToString(v.MD5)), Size: v.Size,
			StorageClass: gofakes3.StorageStandard,
		})
		return true
	})
	return list, err
}

// keys calls yield for the keys of a bucket that have the prefix, in order, until it says that this is enough.
func (s *Service) keys(ctx context.Context, bucketName string, prefix *gofakes3.Prefix, yield func(key string, o *object) bool) error {
	begin := bucketName + "/"
	if prefix != nil {
		begin += prefix.Prefix
	}
	for d, err := range s.Store.Documents(ctx, kindObject, begin) {
		if err != nil {
			return err
		}
		o := &object{}
		if err := json.Unmarshal(d.Body, o); err != nil {
			return err
		}
		if len(o.Versions) > 0 && !yield(d.Name[len(bucketName)+1:], o) {
			return nil
		}
	}
	return nil
}

// commonPrefix returns what a key has up to the first delimiter after the prefix, or "".
func commonPrefix(p *gofakes3.Prefix, key string) string {
	if p == nil || p.Delimiter == "" {
		return ""
	}
	at := strings.Index(key[len(p.Prefix):], p.Delimiter)
	if at < 0 {
		return ""
	}
	return key[:len(p.Prefix)+at+len(p.Delimiter)]
}

// ListBucketVersions returns a page of all versions and delete markers of a bucket.
func (s *Service) ListBucketVersions(bucketName string, prefix *gofakes3.Prefix, page *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	ctx := context.Background()
	if _, _, err := s.loadBucket(ctx, bucketName); err != nil {
		return nil, err
	}
	if page == nil {
		page = &gofakes3.ListBucketVersionsPage{}
	}
	out := gofakes3.NewListBucketVersionsResult(bucketName, prefix, page)
	count, group := int64(0), ""
	err := s.keys(ctx, bucketName, prefix, func(key string, o *object) bool {
		if page.HasKeyMarker && (key < page.KeyMarker || key == page.KeyMarker && !page.HasVersionIDMarker) || group != "" && strings.HasPrefix(key, group) {
			return true
		}
		full := func() bool {
			count++
			return page.MaxKeys > 0 && count > page.MaxKeys
		}
		if group = commonPrefix(prefix, key); group != "" {
			if out.IsTruncated = full(); !out.IsTruncated {
				out.AddPrefix(group)
				out.NextKeyMarker = group + "\U0010FFFF"
			}
			return !out.IsTruncated
		}
		waiting := page.HasKeyMarker && key == page.KeyMarker
		for i := range o.Versions {
			v := &o.Versions[i]
			id := gofakes3.VersionID(v.ID)
			if id == "" {
				id = "null"
			}
			if waiting {
				waiting = id != page.VersionIDMarker
				continue
			}
			if out.IsTruncated = full(); out.IsTruncated {
				return false
			}
			out.NextKeyMarker, out.NextVersionIDMarker = key, id
			out.Versions = append(out.Versions, v.item(key, id, i == 0))
		}
		return true
	})
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextVersionIDMarker = "", ""
	}
	return out, err
}

// item is a version as listings show it.
func (v *version) item(key string, id gofakes3.VersionID, newest bool) gofakes3.VersionItem {
	modified := gofakes3.NewContentTime(v.Modified)
	if v.Deleted {
		return &gofakes3.DeleteMarker{Key: key, VersionID: id, IsLatest: newest, LastModified: modified}
	}
	return &gofakes3.Version{
		Key: key, VersionID: id, IsLatest: newest, LastModified: modified, Size: v.Size,
		StorageClass: gofakes3.StorageStandard, ETag: strconv.Quote(hex.EncodeToString(v.MD5)),
	}
}
